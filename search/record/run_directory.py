"""Opens the directory of a new run, or finds the one that an earlier search of the same name began."""

import re
import time

from analysis.run.trials import read_info
from search.study.loading import read_study
from search.study.study import Study
from trainables.errors import InvalidInput
from trainables.storage import Folder


def open_run(storage: str, name: str) -> Folder:
    """Return the folder of a new run, after checking that it is new and can be written. Nothing is left in it.

    Raises:
        InvalidInput: the name cannot be a folder's, the run exists, or the storage cannot be written.
    """
    folder = _run_folder(storage, name)
    try:
        if folder.exists():
            raise InvalidInput(f"{folder}: exists already; choose another --name, or remove it")
        folder.write("study.yaml", b"")
        folder.remove()
    except OSError as error:
        raise InvalidInput(
            f"{folder}: cannot be written ({error.strerror or error}); choose another --storage"
        ) from None
    return folder


def _run_folder(storage: str, name: str) -> Folder:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise InvalidInput(f"--name {name!r}: expected letters, digits, . _ - and no slash")
    return Folder(storage).child(name)


def begun_run(storage: str, name: str, study: Study) -> Folder | None:
    """Return the folder of the run of that name if a search of this study has begun it, else None.

    A driver that died before it wrote run.json leaves a folder without a trial, which is removed.

    Raises:
        InvalidInput: the name cannot be a folder's, or the run is of another study or of a later version of Temper.
    """
    folder = _run_folder(storage, name)
    if folder.exists("run.json"):
        read_info(folder)
        if read_study(folder) != study:
            raise InvalidInput(f"{folder}: is a run of another study; choose another --name")
        return folder
    if set(folder.names()) <= {"study.yaml", "tensorboard"}:
        folder.remove()
    return None


def default_name(study: Study) -> str:
    """Return the name of a run that was given none: the study's name and the local time."""
    return f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"
