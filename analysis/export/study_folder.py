"""Finds the user's modules of a run whose command is given in another folder than the one where the search began."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel

from analysis.run.sessions import BEGAN, SESSIONS, session_numbers
from trainables.errors import InvalidInput
from trainables.storage import Folder
from trainables.user_code import references, top_level
from trainables.user_modules import STUDY_FOLDER, look_in, user_folders

FOLDERS = "module_folders"  # key of began.json: where that session looked for the user's modules


def find_modules(run: Folder, configuration: BaseModel, say: Callable[[str], object]) -> list[str]:
    """Let the user's modules be found where the run's sessions found them, if they are not found from here.

    What lies in the working directory comes first: a copy of the project goes on with its own modules, whose content is
    compared with what was recorded.

    Args:
        run: the run's folder.
        configuration: the run's study.
        say: prints a line, where modules are found elsewhere.

    Returns:
        The user's functions whose modules are found nowhere.
    """
    missing = sorted({one for one in references(configuration).values() if top_level(one) is None})
    for folder in _folders(run) if missing else ():
        before = user_folders()
        look_in(folder)
        if all(top_level(one) is not None for one in missing):
            say(f"{run}: {', '.join(missing)} is taken from {folder}, where the search looked")
            return []
        look_in(before[0] if len(before) > 1 else None)
    return missing


def require_modules(run: Folder, configuration: BaseModel, say: Callable[[str], object]) -> None:
    """Do as `find_modules`, and raise InvalidInput, which says what to set, for modules that are found nowhere."""
    if missing := find_modules(run, configuration, say):
        raise InvalidInput(
            f"{run}: {', '.join(missing)} is not found from here; go to the folder of its module, or set "
            f"{STUDY_FOLDER} to that folder"
        )


def _folders(run: Folder) -> list[Path]:
    """Return the folders in which sessions looked for modules, as far as they are here; those of the newest first."""
    found: list[Path] = []
    for number in reversed(session_numbers(run)):
        with suppress(OSError, ValueError, TypeError, AttributeError):  # torn, or of a version that recorded none
            began = run.child(SESSIONS, str(number)).read_json(BEGAN)
            found += [Path(str(one)) for one in began.get(FOLDERS, [])]
    return [one for one in dict.fromkeys(found) if one.is_dir()]
