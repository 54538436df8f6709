"""Says where in a network an exception was raised: in which layer, and in which line of the user's."""

from types import FrameType

from torch import nn

from trainables.user_errors import users_line


def location(error: BaseException, network: nn.Module | None = None) -> str:
    """Returns where an exception was raised: the innermost layer, and the user's innermost line; empty if neither.

    Both are read off the exception's own frames, so that networks run without hooks, which would switch off the fused
    operators of attention.

    Args:
        error: the exception.
        network: what the layer's name is looked for in; None: the outermost module that was running.
    """
    frames, traceback = [], error.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame)
        traceback = traceback.tb_next
    layer, line = _layer(frames, network), users_line(error)
    told = ([f" in layer {layer}"] if layer else []) + ([line] if line else [])
    return "" if not told else ", ".join(told) if layer else f" in {told[0]}"


def _layer(frames: list[FrameType], network: nn.Module | None) -> str:
    """Returns name and class of the innermost module whose method was running, empty if none was."""
    running = [one for one in (frame.f_locals.get("self") for frame in frames) if isinstance(one, nn.Module)]
    if not running:
        return ""
    innermost = running[-1]
    names = [name for name, module in (network or running[0]).named_modules() if module is innermost]
    return f"{names[0]} ({type(innermost).__name__})" if names and names[0] else type(innermost).__name__
