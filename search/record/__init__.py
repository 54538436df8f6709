"""Record: writing the run directory.

- `run_directory`: opening it
- `recorder`: study.yaml, run.json and trials/
- `driver_session`: when a driver began, when it ended and why
- `provenance`: where a run came from
- `study_database`: study.db, derived
"""
