"""Turns the errors of Ray and Tune into a reason of one line, and recognizes those of a full storage."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EDQUOT, ENOSPC

from trainables.errors import StorageFull
from trainables.execution.ending import Ending, EndKind
from trainables.storage import Folder

_FULL = (os.strerror(ENOSPC), os.strerror(EDQUOT))
# The words by which Ray's errors say that a process was ended because its node ran low on memory.
_LOW_MEMORY = ("ray.exceptions.OutOfMemoryError", "running low on memory", "node was running low", "memory pressure")


def ending_of(error: str) -> Ending:
    """Return how a trial failed, out of Ray's error. The reason is one line: the last one of a traceback."""
    if any(mark in error for mark in _LOW_MEMORY):
        return Ending(EndKind.OUT_OF_MEMORY, "out of memory: Ray ended its process, since its node ran low")
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    last = lines[-1] if lines else "failed without a message"
    if "OutOfMemoryError" in last or last.startswith("MemoryError") or "can't allocate memory" in last:
        return Ending(EndKind.OUT_OF_MEMORY, f"out of memory: {last}")
    return Ending(EndKind.LOST, last)


def tells_of_full_storage(error: str) -> bool:
    """Return whether an error says that there was no room to write a file."""
    return any(message in error for message in _FULL)


@contextmanager
def storage_watched(folder: Folder) -> Iterator[None]:
    """Raise StorageFull, which says what to do, in place of any error in this context that a full storage caused.

    Errors are recognized by their text, because Tune hands on those of its callbacks as text.

    Args:
        folder: the run's folder, which the message names.

    Raises:
        StorageFull: the storage is full.
    """
    try:
        yield
    except Exception as error:
        if not any(tells_of_full_storage(str(one)) for one in _chain(error)):
            raise
        raise StorageFull(
            f"{folder}: the storage is full. What finished is kept, and every epoch that was written; "
            f"free some space, then `temper resume {folder}` goes on with it."
        ) from None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
