"""Opens the directory of a new run, or finds the one that an earlier search of the same name began."""

import itertools
import os
import re
import time
from collections.abc import Callable
from contextlib import suppress
from errno import ENOTDIR
from os import strerror
from tempfile import mkdtemp

from analysis.run.format import read_info
from analysis.run.sessions import LEASES
from cluster.doctor.shared_storage import PREFIX
from search.failures import PROBE
from search.record.lease import Held, Lease, acquire
from search.study.loading import read_study
from search.study.study import Study
from trainables.config import Frozen
from trainables.errors import InvalidInput
from trainables.storage import Folder
from trainables.user_code import LISTENERS

_STUDY = "study.yaml"
_LEFT_BEHIND = {LEASES, _STUDY, PROBE, "tensorboard", ".tune"}  # by a driver that died before it wrote run.json


class _Taken(InvalidInput):
    """Raised where a run of that name exists already."""


def check_place(storage: str, name: str | None) -> None:
    """Refuse a place in which no run could begin; nothing is left there.

    Args:
        storage: folder or URI that holds runs.
        name: name of the run; None: it would be named after study and time.

    Raises:
        InvalidInput: the name cannot be a folder's, the run exists, or the storage cannot be reached or written.
    """
    folder = Folder(storage) if name is None else run_folder(storage, name)
    try:
        if name is not None and _kept(folder):
            raise _taken(folder)
        place = folder.local
        while place is not None and not place.exists():
            place = place.parent
        if place is not None and not place.is_dir():
            raise _unwritable(folder, NotADirectoryError(ENOTDIR, strerror(ENOTDIR)))
        if place is not None:  # a folder that is made and removed is the only proof: to root, all of /proc is writable
            os.rmdir(mkdtemp(prefix=PREFIX, dir=place))
    except OSError as error:
        raise _unwritable(folder, error) from None


def open_run(storage: str, name: str, say: Callable[[str], object] = lambda text: None) -> Lease:
    """Claim the folder of a new run for this driver; of several that try at once, all but one are refused.

    What a driver left behind that died before its search began is removed.

    Args:
        storage: folder or URI that holds runs.
        name: name of the run.
        say: prints a line, if there is to wait.

    Returns:
        The lease, which has the folder as `run`, and removes it at its end if the search has not begun by then.

    Raises:
        InvalidInput: the name cannot be a folder's, the run exists, another driver holds it, or the storage cannot be
            written.
    """
    folder = run_folder(storage, name)
    try:
        if _kept(folder):
            raise _taken(folder)
        lease = acquire(folder, say=say)
        if _kept(folder):  # another driver began and ended in between
            raise _taken(folder)
        lease.is_new = True
        for found in set(folder.names()) - {LEASES}:
            folder.delete(found) if found in (_STUDY, PROBE) else folder.child(found).remove()
    except OSError as error:
        raise _unwritable(folder, error) from None
    return lease


def open_unnamed_run(storage: str, study: Study) -> Lease:
    """Claim the folder of a new run that was given no name; searches that begin in the same second get other names.

    Raises:
        InvalidInput: the storage cannot be written.
    """
    wanted = default_name(study)
    for number in itertools.count(1):
        name = wanted if number == 1 else f"{wanted}-{number}"
        with suppress(_Taken, Held):
            if not run_folder(storage, name).exists():
                return open_run(storage, name)
    raise AssertionError("numbers have no end")


def begun_run(storage: str, name: str, study: Study) -> Folder | None:
    """Return the folder of the run of that name if a search of this study has begun it, else None.

    Listeners may be others, since no number depends on them.

    Raises:
        InvalidInput: the name cannot be a folder's, or the run is of another study or of a later version of Temper.
    """
    folder = run_folder(storage, name)
    if not folder.exists("run.json"):
        return None
    read_info(folder)
    if changed := _changed(read_study(folder), study):
        raise InvalidInput(f"{folder}: is a run of another study ({', '.join(changed)}); choose another --name")
    return folder


def _changed(before: Study, now: Study) -> list[str]:
    """Return the keys of a study at the top level, or the second, whose values differ."""
    found = []
    for name in Study.model_fields.keys() - {LISTENERS}:
        old, new = getattr(before, name), getattr(now, name)
        if old != new and isinstance(old, Frozen) and type(old) is type(new):
            found += [f"{name}.{key}" for key in type(old).model_fields if getattr(old, key) != getattr(new, key)]
        elif old != new:
            found.append(name)
    return sorted(found)


def default_name(study: Study) -> str:
    """Return the name of a run that was given none: the study's name and the local time."""
    return f"{study.name}-{time.strftime('%Y%m%d-%H%M%S')}"


def _kept(folder: Folder) -> list[str]:
    """Return the names in a folder that no driver left behind that died before its search began."""
    return [name for name in folder.names() if name not in _LEFT_BEHIND and not name.startswith(PREFIX)]


def _taken(folder: Folder) -> InvalidInput:
    return _Taken(f"{folder}: exists already; choose another name, or remove it")


def _unwritable(folder: Folder, error: OSError) -> InvalidInput:
    return InvalidInput(f"{folder}: cannot be written ({error.strerror or error}); choose another storage")


def run_folder(storage: str, name: str) -> Folder:
    """Return the folder of a run of that name. Raises InvalidInput: the name cannot be a folder's everywhere."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
        raise InvalidInput(f"name: got {name!r}, expected letters, digits, . _ - and no slash")
    return Folder(storage).child(name)
