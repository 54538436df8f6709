"""Turns the errors of Ray and Tune into a reason of one line, and recognizes those of a full storage."""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from errno import EDQUOT, EFBIG, EIO, ENOSPC, ENOTCONN, EROFS, ESTALE
from pathlib import Path
from typing import Any

from trainables.errors import MachineFault, StorageFull, TemperError
from trainables.execution.ending import Ending, EndKind
from trainables.local_files import AWAY, PATIENCE
from trainables.storage import Folder
from trainables.user_errors import innermost

_FULL = (os.strerror(ENOSPC), os.strerror(EDQUOT))
_BROKEN = tuple(map(os.strerror, (EFBIG, EROFS, EIO, ESTALE, ENOTCONN)))  # of a storage that can be written no more
_NEVER_RAN = "The actor never ran"  # by which Ray says that a trial's process ended before it began
PROBE = ".probe"  # a file by which a storage is tried
PROBE_BYTES = 1_000_000  # about what the checkpoint of a small network takes
_HEADING = re.compile(r"^Failure # \d+ \(occurred at [^)]*\)$", re.MULTILINE)  # above each of a trial's errors
_PLACE = re.compile(r' +File "([^"]+)", line (\d+)')  # a place in the code, in a traceback
_STORAGE = ("trainables/storage.py", "trainables/local_files.py")  # places in the code where a storage is used
_ARROW = "pyarrow/"
# Errors that a trial meets where a process or a node that it needs is lost.
_RAYS_OWN = (
    "ray.exceptions.NodeDiedError",
    "ray.exceptions.ObjectFetchTimedOutError",
    "ray.exceptions.ObjectLostError",
    "ray.exceptions.OutOfDiskError",
    "ray.exceptions.OwnerDiedError",
    "ray.exceptions.WorkerCrashedError",
)
# The words by which CUDA says that a card is broken, gone, or held by somebody else.
_BROKEN_CARD = ("uncorrectable ECC error", "is/are busy or unavailable", "no CUDA-capable device is detected")
# The words by which Ray's errors say that a process was ended because its node ran low on memory.
_LOW_MEMORY = ("ray.exceptions.OutOfMemoryError", "running low on memory", "node was running low", "memory pressure")


def error_of(trial: Any) -> str:
    """Return the errors of a trial of Tune's as text, one below the other; empty where there is none.

    Tune writes them into a file of the driver's, but reads them back from the storage, into which that file is copied
    only later. Read there, a first error is missing, and a second one is taken for the first.
    """
    path = getattr(trial, "error_file", None)  # a simulated trial has none
    with suppress(OSError):
        if path is not None:
            return Path(path).read_text(errors="replace")
    error = trial.get_error()
    return "" if error is None else str(error)


def ending_of(error: str) -> Ending:
    """Return how a trial failed, out of Ray's error. The reason is one line: what was raised, with its message.

    Args:
        error: the text of an error, or of several under Tune's headings, of which the last that says anything counts.
    """
    told = [block for block in _HEADING.split(error) if block.strip() not in ("", "None")]
    error = told[-1] if told else ""
    last = _raised(error.splitlines()) or "failed without a message"
    if (fault := _machine_fault(error, last)) is not None:
        return Ending(EndKind.KILLED, fault)
    if "OutOfMemoryError" in last or last.startswith("MemoryError") or "can't allocate memory" in last:
        return Ending(EndKind.OUT_OF_MEMORY, f"out of memory: {last}")
    return Ending(EndKind.LOST, last)


def _machine_fault(error: str, last: str) -> str | None:
    """Return how a trial was ended by its machine, in words; None where it ended by an error of its own.

    A crash in native code cannot be told from a kill, by the kernel's OOM killer for example, because Ray sees the same
    closed connection. A process that left with an exit code of its own was not killed.

    Args:
        error: the text of the error.
        last: what it says was raised, in a line.
    """
    if any(mark in error for mark in _LOW_MEMORY):
        return "Ray ended its process, since its node ran low on memory"
    if last.startswith(_RAYS_OWN) or any(mark in last for mark in _BROKEN_CARD):
        return last
    if places := _PLACE.findall(error):
        own = [file for file, _ in places if not file.startswith(_ARROW)]
        of_storage = bool(own) and own[-1].endswith(_STORAGE) and not last.startswith("FileNotFoundError")
        return f"the storage failed it: {last}" if of_storage else None
    if "its node has died" in error:
        return "its node was lost"
    if "its worker process has died" in error:
        if "SIGTERM" in error:
            return "its process was ended by SIGTERM"
        if "connection error" in error:
            return "its process was killed, by the kernel for lack of memory or by somebody, or it crashed"
    return last if re.search(r"its owner has died|The actor \w+ is unavailable", error) else None


def _raised(lines: list[str]) -> str | None:
    """Return what an error says was raised, in a line; None where it says nothing.

    In a traceback that is the line behind the last place in the code: the exception's type and the first line of its
    message, with the second where the first ends in a colon, and the last place that is in the user's code, if any.
    Where there is no message, the last place of all is added. A text that is no traceback has its last line returned.
    """
    places = [number for number, line in enumerate(lines) if _PLACE.match(line)]
    behind = [line for line in lines[places[-1] + 1 :] if line.strip()] if places else []
    while behind and behind[0].startswith(" "):  # the code at that place
        del behind[0]
    if not behind:
        texts = [line.strip() for line in lines if line.strip()]
        return texts[-1] if texts else None
    raised = behind[0].strip()
    if raised.endswith(":") and len(behind) > 1:
        raised = f"{raised} {behind[1].strip()}"
    passed = [found for number in places if (found := _PLACE.match(lines[number])) is not None]
    theirs = innermost((Path(found[1]), int(found[2])) for found in passed)
    if theirs and theirs not in raised:
        return f"{raised} in {theirs}"
    place = passed[-1]
    if re.fullmatch(r"[\w.]+", raised):
        return f"{raised} without a message, raised in {place[1]}, line {place[2]}"
    return raised


def storage_fault(error: str) -> str | None:
    """Return what an error says is wrong with a storage, in the system's words: full, or broken; None otherwise."""
    return next((message for message in (*_FULL, *_BROKEN) if message in error), None)


def start_fault(error: str) -> str | None:
    """Return what an error says of a process that never ran, in Ray's words; None where it says nothing of the kind."""
    return next((line.strip() for line in error.splitlines() if _NEVER_RAN in line), None)


def check_machine(ending: Ending, why_unwritable: Callable[[], str | None]) -> None:
    """Raise MachineFault where a trial failed by a fault of the machine that will end every other one as well.

    Args:
        ending: how the trial failed.
        why_unwritable: returns what is wrong with the run's storage; None where it can be written.
    """
    if fault := storage_fault(ending.detail or "") or why_unwritable():
        raise StorageFull(fault)
    if fault := start_fault(ending.detail or ""):
        raise MachineFault(fault)


def why_unwritable(folder: Folder, patience: float = PATIENCE) -> str | None:
    """Return what is wrong with the storage of a run, in the system's words; None where a file can be written there.

    A trial whose storage was full often dies of what follows from it, which does not say so.

    Args:
        folder: the run's folder, which is not made where it is gone.
        patience: seconds for which it is waited for then.
    """
    try:
        folder.kept(patience).write(PROBE, bytes(PROBE_BYTES))
        folder.delete(PROBE)
    except OSError as error:
        if AWAY in str(error):
            return AWAY
        return storage_fault(str(error)) or (os.strerror(error.errno) if error.errno else str(error))
    return None


@contextmanager
def storage_watched(folder: Folder, verb: str = "resume") -> Iterator[None]:
    """Raise an error that says what to do in place of any error in this context that the machine caused.

    Errors are recognized by their text, because Tune hands on those of its callbacks as text, or else by trying to
    write into the run's folder.

    Args:
        folder: the run's folder, which the message names.
        verb: the command that goes on once the storage is well again.

    Raises:
        StorageFull: the storage is full, or cannot be written any more.
        MachineFault: a trial's process could not be started.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, TemperError) and not isinstance(error, MachineFault):
            raise
        texts = [str(one) for one in _chain(error)]
        if unstarted := next(filter(None, map(start_fault, texts)), None):
            raise MachineFault(
                f"{folder}: the process of a trial could not be started ({unstarted.rstrip('.')}); does the memory "
                "suffice? Free some, or allow fewer trials at once with resources.max_concurrent. What finished is "
                f"kept: {_goes_on(folder, verb)} goes on with it."
            ) from None
        away = AWAY if any(AWAY in text for text in texts) else None
        fault = next(filter(None, map(storage_fault, texts)), away) or why_unwritable(folder, patience=0.0)
        if fault is None:
            raise
        raise _stopped(folder, fault, verb) from None


def _stopped(folder: Folder, fault: str, verb: str) -> StorageFull:
    """Return the error that says where a storage is full or broken, and what to do."""
    if fault not in _FULL:
        problem, todo = f"the storage cannot be written ({fault})", "when it can be written again"
    elif why_unwritable(folder) is None and _full_temporary() is not None:
        problem, todo = f"the folder for temporary files, {_full_temporary()}, is full", "free some space there, then"
    else:
        problem, todo = "the storage is full", "free some space, then"
    goes_on = (
        f"{_goes_on(folder, verb)} goes on with it" if fault == AWAY or _has_begun(folder) else "begin the search again"
    )
    return StorageFull(
        f"{folder}: {problem}. What finished is kept, and every epoch that was written; {todo} {goes_on}."
    )


def _goes_on(folder: Folder, verb: str) -> str:
    """Return what goes on with the work; a confirmation is told apart by its options, so by the same command alone."""
    return "the same command" if verb == "confirm" else f"`temper {verb} {folder.typed}`"


def _full_temporary() -> str | None:
    place = tempfile.gettempdir()
    return place if shutil.disk_usage(place).free < PROBE_BYTES else None


def _has_begun(folder: Folder) -> bool:
    try:
        folder.read_json("run.json")
    except (OSError, ValueError):
        return False
    return True


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
