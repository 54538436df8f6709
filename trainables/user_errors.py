"""Reports what goes wrong in a user's code as theirs: the error, the file and the line, and no stack of Temper's."""

import inspect
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from trainables.errors import InvalidInput, TemperError

LONGEST = 300  # characters of an exception's message that are shown
PATIENCE = 30.0  # seconds after which code of the user's that is still running is told of, then after twice as long …
_OURS = Path(__file__).parent.parent  # the folder that Temper's packages lie in
_PACKAGES = ("trainables", "search", "cluster", "analysis")
logger = logging.getLogger(__name__)


@contextmanager
def reported(problem: str, advice: str = "") -> Iterator[None]:
    """Turns any exception of the user's code into InvalidInput, and tells of code that runs for very long.

    The message has the form `problem (KeyError: 'x') in net.py line 12; advice`. Refusals that Temper has worded itself
    pass as they are.

    Args:
        problem: what failed, after the study's key.
        advice: what is expected instead, or what the user can do; empty: nothing is added.

    Raises:
        InvalidInput: in place of the exception.
    """
    try:
        with _told_if_slow(problem):
            yield
    except InvalidInput:
        raise
    except (Exception, SystemExit) as error:  # user's code may raise anything, and parse arguments of its own
        raise failure(problem, error, advice) from error


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
def _told_if_slow(problem: str) -> Iterator[None]:
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
                "%s: still running after %.0f s%s; Ctrl-C ends it", problem, waited, f", in {where}" if where else ""
            )

    watcher = threading.Thread(target=watch, name="user-code", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


def _running(frame: FrameType | None) -> str:
    while frame is not None:
        path = Path(frame.f_code.co_filename)
        if _is_users(path):
            return f"{path.name} line {frame.f_lineno}"
        frame = frame.f_back
    return ""
