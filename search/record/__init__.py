"""Record: writing the run directory.

- `run_directory`: opening it
- `recorder`: study.yaml, run.json and trials/
- `provenance`: where a run came from
- `study_database`: study.db, derived
"""
