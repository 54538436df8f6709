"""Says in words what an exception in a network means: in which layer, in which line of the user's, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from torch import nn

from trainables.errors import InvalidInput
from trainables.user_errors import described, users_line


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


def location(error: BaseException) -> str:
    """Returns where an exception was raised: the innermost layer, and the user's innermost line; empty if neither.

    Both are read off the exception's own frames, so that networks run without hooks, which would switch off the fused
    operators of attention.
    """
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    layer, line = _layer(frames), users_line(error)
    told = ([f" in layer {layer}"] if layer else []) + ([line] if line else [])
    return "" if not told else ", ".join(told) if layer else f" in {told[0]}"


def _layer(frames: list[FrameType]) -> str:
    """Returns name and class of the innermost module whose method was running, empty if none was."""
    running = [one for one in (frame.f_locals.get("self") for frame in frames) if isinstance(one, nn.Module)]
    if not running:
        return ""
    outermost, innermost = running[0], running[-1]
    names = [name for name, module in outermost.named_modules() if module is innermost]
    return f"{names[0]} ({type(innermost).__name__})" if names and names[0] else type(innermost).__name__
