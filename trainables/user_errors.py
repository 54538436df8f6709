"""Reports what goes wrong in a user's code as theirs: the error, the file and the line, and no stack of Temper's."""

import inspect
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Self, TextIO

from trainables.errors import InvalidInput, TemperError

LONGEST = 300  # characters of an exception's message that are shown
PATIENCE = 30.0  # seconds after which code of the user's that is still running is told of, then after twice as long …
_OURS = Path(__file__).parent.parent  # the folder that Temper's packages lie in
_PACKAGES = ("trainables", "search", "cluster", "analysis")
logger = logging.getLogger(__name__)


@contextmanager
def reported(code: str, problem: str, advice: str = "") -> Iterator[None]:
    """Turns any exception of the user's code into InvalidInput, and tells of code that runs for very long.

    Settings of the whole process that the code has changed, such as the working directory, are set back and told.

    The message has the form `code: problem (KeyError: 'x') in net.py line 12; advice`. Refusals that Temper has worded
    itself pass as they are.

    Args:
        code: which code of the user's runs, after the study's key.
        problem: what is wrong if it fails, which is written right after that.
        advice: what is expected instead, or what the user can do; empty: nothing is added.

    Raises:
        InvalidInput: in place of the exception.
    """
    try:
        with _told_if_slow(code), _settings_kept(code):
            yield
    except (InvalidInput, KeyboardInterrupt):
        raise
    except BaseException as error:  # user's code may raise anything, and parse arguments of its own
        raise failure(code + problem, error, advice) from error


def failure(problem: str, error: BaseException, advice: str = "") -> InvalidInput:
    """Returns what `reported` raises in place of an exception: where a context for each call would cost too much."""
    where = users_line(error)
    told = f"{problem} ({described(error)})" + (f" in {where}" if where else "")
    return InvalidInput(told + (f"; {advice}" if advice else ""))


def misfit(function: Callable[..., Any], *given: object, **named: object) -> str:
    """Says why a function of the user's does not take some arguments, and where it is defined.

    Returns:
        Such as `(missing a required argument: 'classes') in net.py line 4`; empty where it takes them, or where it has
        no signature, as some built-in functions.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*given, **named)
    except TypeError as error:
        return f"({error}){_defined(function)}"
    return ""


def _defined(function: Callable[..., Any]) -> str:
    try:
        return f" in {Path(inspect.getfile(function)).name} line {inspect.getsourcelines(function)[1]}"
    except (OSError, TypeError):  # an object that is called, or no source
        return ""


def described(error: BaseException) -> str:
    """Returns the kind of an exception and the first line of its message."""
    if isinstance(error, TemperError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:LONGEST]}" if lines else f"{type(error).__name__} without a message"


def users_line(error: BaseException) -> str:
    """Returns the innermost line of the user's that an exception passed, as `net.py line 12`; empty if there is none.

    A file with a syntax error runs no line, so the line of the error is taken.
    """
    if isinstance(error, SyntaxError) and error.filename and _is_users(Path(error.filename)):
        return f"{Path(error.filename).name} line {error.lineno}"
    places, traceback = [], error.__traceback__
    while traceback is not None:
        places.append((Path(traceback.tb_frame.f_code.co_filename), traceback.tb_lineno))
        traceback = traceback.tb_next
    return innermost(places)


def innermost(places: Iterable[tuple[Path, int]]) -> str:
    """Returns the last of these places in source files that is in the user's, as `net.py line 12`; empty if none is."""
    users = [f"{path.name} line {line}" for path, line in places if _is_users(path)]
    return users[-1] if users else ""


def _is_users(path: Path) -> bool:
    """Returns whether a source file is neither a package's, nor the standard library's, nor Temper's."""
    if not path.is_file() or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    real = path.resolve()
    if Path(sys.base_prefix) / "lib" in real.parents and Path.cwd() not in real.parents:
        return False
    return not (_OURS in real.parents and real.relative_to(_OURS).parts[0] in _PACKAGES)


@contextmanager
def _told_if_slow(code: str) -> Iterator[None]:
    """Says in which of the user's lines a context still is after `PATIENCE` seconds, so that a hang can be found."""
    watched, ended = threading.get_ident(), threading.Event()

    def watch() -> None:
        waited, pause = 0.0, PATIENCE
        while not ended.wait(pause):
            waited += pause
            pause = waited
            frame = sys._current_frames().get(watched)
            where = _running(frame)
            logger.warning(
                "%s: still running after %.0f s%s; Ctrl-C ends it", code, waited, f", in {where}" if where else ""
            )

    watcher = threading.Thread(target=watch, name="user-code", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


@dataclass(frozen=True)
class _Settings:
    """Settings of this process by which a user's code would change what Temper itself does."""

    folder: str
    silenced: int
    stdout: TextIO
    dtype: object = None
    gradients: bool = True
    device: str = "cpu"

    @classmethod
    def now(cls) -> Self:
        folder, silenced, torch = os.getcwd(), logging.root.manager.disable, sys.modules.get("torch")
        whole = (folder, silenced, sys.stdout)
        if torch is None or not hasattr(torch, "get_default_device"):  # not imported, or not yet to its end
            return cls(*whole)
        device = str(torch.get_default_device())
        return cls(*whole, torch.get_default_dtype(), torch.is_grad_enabled(), device)


@contextmanager
def _settings_kept(code: str) -> Iterator[None]:
    """Sets those settings back that a context of the user's code changes, and says which."""
    before = _Settings.now()
    try:
        yield
    finally:
        after, torch, changed = _Settings.now(), sys.modules.get("torch"), []
        if after.folder != before.folder:
            os.chdir(before.folder)
            changed.append("os.chdir")
        if after.silenced != before.silenced:
            logging.disable(before.silenced)
            changed.append("logging.disable")
        if torch is not None and after.dtype not in (None, dtype := before.dtype or torch.float32):
            torch.set_default_dtype(dtype)
            changed.append("torch.set_default_dtype")
        if after.stdout is not before.stdout:
            sys.stdout = before.stdout
            changed.append("sys.stdout")
        if torch is not None and after.gradients != before.gradients:
            torch.set_grad_enabled(before.gradients)
            changed.append("torch.set_grad_enabled")
        if torch is not None and after.device != before.device:
            torch.set_default_device(None if before.device == "cpu" else before.device)
            changed.append("torch.set_default_device")
        if changed:
            logger.warning("%s: what it set for the whole process was set back: %s", code, ", ".join(changed))


def _running(frame: FrameType | None) -> str:
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if _is_users(path):
            return f"{path.name} line {frame.f_lineno}"
        frame = frame.f_back
    return ""
