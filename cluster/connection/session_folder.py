"""Makes a local Ray session's temporary folder, and removes it at the end, or in the next session after a kill.

A session holds a lock (flock) on a file in its folder. The kernel releases the lock when the process ends, however it
ends. The lock also holds between containers that share the folder's disk, where a process number means nothing.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainables.errors import InvalidInput

PREFIX = "temper-ray-"
LOCK = "temper.lock"
ELSEWHERE = ("/tmp", "/var/tmp", "/dev/shm")  # where the folder for temporary files does not fit
LONGEST = 19  # characters of the folder's place: Ray's sockets below it have paths of 107 bytes at most, 103 on macOS
ROOM = 64_000_000  # bytes that a session's logs take at most, and room for what else is written there


@contextmanager
def session_folder() -> Iterator[Path]:
    """Makes a session's folder and removes it afterwards; folders that this user's killed sessions left go first."""
    remove_abandoned()
    folder, lock = _locked_folder(session_place())
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def session_place() -> Path:
    """Finds the folder in which a session's folder is made: that for temporary files, or another one where it is unfit.

    Raises:
        InvalidInput: none is short enough for Ray's sockets, can be written and has room.
    """
    unfit = []
    for place in _places():
        reason = _why_unfit(place)
        if reason is None:
            return place
        unfit.append(f"{place} {reason}")
    raise InvalidInput(
        f"TMPDIR: no folder is fit for Ray's temporary files: {'; '.join(unfit)}; set TMPDIR to a folder that can be "
        f"written, has {ROOM / 1e6:.0f} MB free and a path of at most {LONGEST} characters"
    )


def _places() -> list[Path]:
    """Lists the folders that a session's folder may be made in, the wanted one first."""
    with suppress(OSError):  # no folder for temporary files can be written
        return list(dict.fromkeys(map(Path, (tempfile.gettempdir(), *ELSEWHERE))))
    return list(map(Path, ELSEWHERE))


def _why_unfit(place: Path) -> str | None:
    if len(os.fsencode(place)) > LONGEST:
        return "has too long a path"
    if not str(place).isascii():
        return "has letters in its path that Ray cannot use"
    try:
        free = shutil.disk_usage(place).free
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return f"cannot be used ({error.strerror})"
    return f"has {free / 1e6:.0f} MB free" if free < ROOM else None


def session_path() -> Path:
    """Returns the folder of the Ray session that this process is in, on this node; a local session's goes with it."""
    from ray._private import worker

    return Path(worker._global_node.get_session_dir_path())


def remove_abandoned() -> None:
    """Removes the folders of this user's sessions whose process is gone, which is so where their lock can be taken.

    A folder without a lock file is left alone, because nothing says whether its session is still running.
    """
    for folder in sorted(folder for place in _places() for folder in place.glob(f"{PREFIX}*")):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # the folder has no lock file, or another process has removed it meanwhile
            continue
        with suppress(OSError):  # the disk supports no locks, so nothing says whether the session is still running
            if _take(lock, folder / LOCK):
                _remove(folder)
        os.close(lock)


def _locked_folder(place: Path) -> tuple[Path, int | None]:
    """Makes a new folder and locks it; the second value is the lock's descriptor, None on a disk without locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        lock = None
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if _take(lock, folder / LOCK):
                return folder, lock
        except FileNotFoundError:  # another process removed the folder before this one could lock it
            continue
        except OSError:
            (folder / LOCK).unlink(missing_ok=True)  # without its lock file, no session takes the folder for abandoned
            if lock is not None:
                os.close(lock)
            return folder, None
        os.close(lock)  # another session that was just starting took the folder for abandoned


def _take(lock: int, path: Path) -> bool:
    """Tries to take the lock of an open file, and returns whether it did and the file is still the one at the path.

    Raises:
        OSError: the disk supports no locks.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _remove(folder: Path) -> None:
    """Removes a folder, its lock file last.

    Where Ray, still ending, writes into it meanwhile, the folder is left for the next session to remove.
    """
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
        if not {path.name for path in folder.iterdir()} - {LOCK}:
            shutil.rmtree(folder, ignore_errors=True)
