"""Record: writes the run directory.

- `run_directory`: opens a new run directory, or finds one that an earlier search began
- `recorder`: writes study.yaml, run.json and trials/
- `driver_session`: writes when a driver began, when it ended and why
- `provenance`: tells the code, versions, machine and command that a run came from
- `study_database`: derives study.db, which optuna-dashboard opens
"""
