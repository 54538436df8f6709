"""Writes local files as a whole, and waits for a folder that is away for a time instead of making it anew.

A network's file system that goes away may leave an empty folder that can be written. What a process made there would
be missing once the storage is back.
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

from pyarrow import fs

PATIENCE = 30.0  # seconds for which a folder that must stand is waited for
AGAIN = 0.2  # seconds from one look for it to the next
AWAY = "the folder is gone, or its storage is away"
_LOCAL = fs.LocalFileSystem()
Made = TypeVar("Made")


class Away(OSError):
    """Raised where a folder is gone that must stand already: it was moved or removed, or its storage is away."""


def attended(task: Callable[[], Made], patience: float) -> Made:
    """Does a task, and again for so many seconds while it raises Away; returns what it returns."""
    until = time.monotonic() + patience
    while True:
        try:
            return task()
        except Away:
            if time.monotonic() >= until:
                raise
        time.sleep(AGAIN)


def check_standing(standing: str | None) -> None:
    """Raises Away unless a folder stands; None: none must."""
    if standing is not None and not os.path.isdir(standing):
        raise Away(f"{standing}: {AWAY}")


def write_file(folder: str, name: str, content: bytes, *, lasting: bool, standing: str | None) -> None:
    """Writes one file under another name, then renames it, so that a reader sees all of it or nothing of it.

    Args:
        folder: the file's folder, by its absolute path; it is made if need be.
        name: the file's name.
        content: its content.
        lasting: whether file and folders are on the disk before this returns.
        standing: `folder` or one above it, which is not made; None: all are made.

    Raises:
        Away: `standing` does not stand.
        OSError: the storage is full, or cannot be written; no part of the file is left then.
    """
    # The name is unique because two processes may write the same file: one that the driver believes dead, since
    # the connection to it was lost, and the one that has replaced it.
    staging = f"{folder}/{name}.{uuid4().hex}.partial"
    place = Path(folder)
    changed = [place, *(one.parent for one in (place, *place.parents) if lasting and not one.is_dir())]
    try:
        make_folder(folder, standing)
        write_stream(_LOCAL, staging, content)
        if lasting:
            _sync(staging)
        _LOCAL.move(staging, f"{folder}/{name}")
    except OSError as error:
        with suppress(OSError):
            _LOCAL.delete_file(staging)
        if standing is not None and isinstance(error, FileNotFoundError):
            raise Away(f"{standing}: {AWAY}") from error
        raise
    for one in changed if lasting else ():
        with suppress(OSError):  # some filesystems have no such operation on folders
            _sync(one)


def create_file(folder: Path, name: str, content: bytes) -> bool:
    """Makes one file, and the folder if need be, unless there is one of that name, and returns whether it did.

    Raises:
        OSError: the folder cannot be written, or is full; no part of the file is left then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(content)
    except OSError:
        (folder / name).unlink()
        raise
    return True


def make_folder(folder: str, standing: str | None) -> None:
    """Makes a folder and those above it; those below `standing` one by one, so that the system itself refuses the rest.

    Raises:
        FileNotFoundError: `standing` does not stand.
    """
    if standing is None:
        _LOCAL.create_dir(folder, recursive=True)
        return
    missing = []
    while folder != standing and not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for one in reversed(missing):
        with suppress(FileExistsError):
            os.mkdir(one)


def stamp(path: str) -> tuple[int, int]:
    """Returns when a file was last written, in ns, and its bytes; (0, 0) if there is none."""
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def write_stream(system: fs.FileSystem, path: str, content: bytes) -> None:
    """Writes a file's content where it lies."""
    with system.open_output_stream(path) as stream:
        stream.write(content)


def _sync(path: str | Path) -> None:
    """Waits until a local file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
