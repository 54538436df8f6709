"""The temporary folder of a local Ray session: removed at its end, or by the next session if its process was killed.

A session holds a lock (flock) on a file in its folder. The kernel drops it with the process, however that ends, and
knows it across containers that share the folder's disk, where a process number would mean nothing.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX = "temper-ray-"  # short: Ray puts sockets in the folder, whose paths must not exceed 107 bytes
LOCK = "temper.lock"


@contextmanager
def session_folder() -> Iterator[Path]:
    """A new folder for a session; those that killed sessions of this user have left are removed first."""
    remove_abandoned()
    folder, lock = _locked_folder()
    try:
        yield folder
    finally:
        _remove(folder)
        if lock is not None:
            os.close(lock)


def remove_abandoned() -> None:
    """Remove the folders of sessions whose process is gone: this user's alone, and none whose lock cannot be taken.

    A folder without a lock file is left alone, since nothing tells whether its session lives.
    """
    for folder in sorted(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")):
        try:
            if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
                continue
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
        except OSError:  # it has none, or is gone meanwhile
            continue
        with suppress(OSError):  # the disk knows no locks: nothing tells whether its session lives
            if _take(lock, folder / LOCK):
                _remove(folder)
        os.close(lock)


def _locked_folder() -> tuple[Path, int | None]:
    """A new folder and the descriptor that holds its lock; None where the disk knows no locks."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        lock = None
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            if _take(lock, folder / LOCK):
                return folder, lock
        except FileNotFoundError:  # removed before there was a lock to be held
            continue
        except OSError:
            (folder / LOCK).unlink(missing_ok=True)  # so that nobody takes the folder for abandoned
            if lock is not None:
                os.close(lock)
            return folder, None
        os.close(lock)  # another session that was just starting took the folder for abandoned


def _take(lock: int, path: Path) -> bool:
    """Try to take the lock of an open file, and check that the file is still the one at the path.

    Raises:
        OSError: the disk knows no locks.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(lock), path.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def _remove(folder: Path) -> None:
    """Remove a folder, its lock file last: what Ray, still ending, writes meanwhile is left for the next session."""
    with suppress(OSError):
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            elif path.name != LOCK:
                path.unlink(missing_ok=True)
        if not {path.name for path in folder.iterdir()} - {LOCK}:
            shutil.rmtree(folder, ignore_errors=True)
