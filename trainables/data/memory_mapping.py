"""Makes the arrays that images are kept in: in memory, or in memory-mapped files where they would fill half of it.

The files lie below the folder where data sets are cached, and are removed when the process ends. Those of a process
that was killed are removed by the next one: a file is locked (flock) while its process lives.
"""

import atexit
import fcntl
import logging
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.errors import InvalidInput
from trainables.memory_limit import memory_limit
from trainables.user_path import user_path

CHUNK = 1 << 26  # bytes of an array that are read or written at once
FOLDER = "memory_mapped"
logger = logging.getLogger(__name__)


def data_root() -> Path:
    """Returns the folder where data sets are cached: TEMPER_DATA, by default ~/.cache/temper.

    Raises:
        InvalidInput: it cannot be a path, or it is not set and this account has no home folder.
    """
    return user_path(os.environ.get("TEMPER_DATA", "~/.cache/temper"), "TEMPER_DATA")


def new_array(shape: tuple[int, ...], dtype: type[np.generic], *, whole: int = 0) -> NDArray[Any]:
    """Returns an array to be filled, in a memory-mapped file if it would take more than half of the memory.

    Args:
        shape: shape of the array.
        dtype: type of its numbers.
        whole: bytes of the data set that the array is a part of, which count in its place if they are more.

    Raises:
        InvalidInput: the disk has no room for the file.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if max(size, whole) <= memory_limit() / 2 or not size:
        return np.empty(shape, dtype)
    folder = data_root() / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        file, name = tempfile.mkstemp(dir=folder)
        fcntl.flock(file, fcntl.LOCK_EX)  # held until this process ends, however it ends
        atexit.register(Path(name).unlink, missing_ok=True)
        os.posix_fallocate(file, 0, size)  # so that a full disk is an error now, and not a signal later
    except OSError as error:
        raise InvalidInput(
            f"data: takes {size / 1e9:.1f} GB, more than half of the memory ({memory_limit() / 1e9:.1f} GB), and has "
            f"no room in {folder} ({error.strerror}); TEMPER_DATA moves that folder; or take fewer or smaller images"
        ) from error
    logger.warning(
        "the data takes %.1f GB, more than half of the memory (%.1f GB): %.1f GB of it are memory-mapped from %s",
        max(size, whole) / 1e9,
        memory_limit() / 1e9,
        size / 1e9,
        folder,
    )
    return np.memmap(name, dtype, "r+", shape=shape)


def mapped_file(array: NDArray[Any]) -> str | None:
    """Returns the file of a whole memory-mapped array that `new_array` made; None for other arrays and for parts."""
    if isinstance(array, np.memmap) and isinstance(array.base, mmap.mmap) and array.filename is not None:
        path = Path(array.filename)
        return str(path) if path.parent.name == FOLDER else None
    return None


def open_mapped(path: str, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Opens the file of an array in another process of the same machine, to be read.

    Raises:
        InvalidInput: this machine does not have the file.
    """
    try:
        return np.memmap(path, np.dtype(dtype), "r", shape=shape)
    except OSError as error:
        raise InvalidInput(
            f"data: {path} is not on this machine: a data set of more than half of the memory can be trained on by "
            "the machine that loaded it, or where TEMPER_DATA is a folder that all nodes share"
        ) from error


def chunks(array: NDArray[Any]) -> Iterator[slice]:
    """Yields slices of an array's first axis that take about `CHUNK` bytes each."""
    step = max(1, CHUNK // max(1, array[:1].nbytes))
    for first in range(0, len(array), step):
        yield slice(first, first + step)


def taken(array: NDArray[Any], index: NDArray[np.intp]) -> NDArray[Any]:
    """Returns the entries of an array at the positions `index`, as a new array."""
    found = new_array((len(index), *array.shape[1:]), array.dtype.type, whole=array.nbytes)
    for part in chunks(found):
        found[part] = array[index[part]]
    return found


def _remove_abandoned(folder: Path) -> None:
    """Removes the files whose process is gone, which is so where their lock can be taken."""
    for path in folder.iterdir():
        with suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
