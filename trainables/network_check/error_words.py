"""Says in words what an exception in a network means: in which layer, in which line of the user's, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from torch import nn

from trainables.errors import InvalidInput, TemperError
from trainables.user_code import lies_here

_OURS = Path(__file__).parents[2]  # the folder that Temper's packages lie in
_PACKAGES = ("trainables", "search", "cluster", "analysis")
LONGEST = 300  # characters of an exception's message that are shown


@contextmanager
def in_words(problem: str, advice: str = "") -> Iterator[None]:
    """Turns any exception of the context into InvalidInput in words.

    The message has the form `problem (KeyError: 'x') in layer head.1 (Linear), net.py line 12; expected advice`.
    Refusals that Temper has worded itself pass as they are.

    Args:
        problem: what cannot be done, after the study's key.
        advice: what is expected instead, or what the user can do; empty: nothing is added.

    Raises:
        InvalidInput: in place of the exception.
    """
    try:
        yield
    except InvalidInput:
        raise
    except (Exception, SystemExit) as error:  # user's code may raise anything, and parse arguments of its own
        told = f"({described(error)}){location(error)}"
        raise InvalidInput(f"{problem} {told}" + (f"; {advice}" if advice else "")) from error


def described(error: BaseException) -> str:
    """Returns the kind of an exception and the first line of its message."""
    if isinstance(error, TemperError):
        return str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:LONGEST]}" if lines else f"{type(error).__name__} without a message"


def location(error: BaseException) -> str:
    """Returns where an exception was raised: the innermost layer, and the user's innermost line; empty if neither.

    Both are read off the exception's own frames, so that networks run without hooks, which would switch off the fused
    operators of attention.
    """
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    layer = _layer([frame for frame, _ in frames])
    lines = [(Path(frame.f_code.co_filename), line) for frame, line in frames]
    users = [f"{path.name} line {line}" for path, line in lines if _is_users(path)]
    told = ([f" in layer {layer}"] if layer else []) + ([users[-1]] if users else [])
    return "" if not told else ", ".join(told) if layer else f" in {told[0]}"


def _layer(frames: list[FrameType]) -> str:
    """Returns name and class of the innermost module whose method was running, empty if none was."""
    running = [one for one in (frame.f_locals.get("self") for frame in frames) if isinstance(one, nn.Module)]
    if not running:
        return ""
    outermost, innermost = running[0], running[-1]
    names = [name for name, module in outermost.named_modules() if module is innermost]
    return f"{names[0]} ({type(innermost).__name__})" if names and names[0] else type(innermost).__name__


def _is_users(path: Path) -> bool:
    """Returns whether a source file is the user's: in the working directory, no package's and not Temper's."""
    if not path.is_file() or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    ours = _OURS in path.parents and path.relative_to(_OURS).parts[0] in _PACKAGES
    return lies_here(path.resolve()) and not ours
