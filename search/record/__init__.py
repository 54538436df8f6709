"""Record: writes the run directory.

- `run_directory`: opens a new run directory, or finds one that an earlier search began
- `lease`: lets one driver at a time hold a run
- `claim`: claims a folder for one process, on every storage
- `holder`: tells who holds a run, and whether that process lives
- `recorder`: writes study.yaml, run.json and trials/
- `driver_session`: writes when a driver began, when it ended and why
- `provenance`: tells the code, versions, machine and command that a run came from
- `derived_files`: rebuilds all that follows from trials/, and says what came of the search
- `study_database`: derives study.db, which optuna-dashboard opens
"""
