"""Says where a network calls an operator: in which layer, and in which line of the user's.

PyTorch's exporter names an operator that it cannot write, but not the place in the network, which a user looks for.
"""

import re
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from trainables.models.error_places import location

_NAMED = re.compile(r"(?:operator '|namespace |kind ')(\w+::\w+)")  # in the messages of PyTorch's exporter


def place_of_refused(error: BaseException, model: nn.Module, images: Tensor) -> str:
    """Returns where in a network the cause of an exporter's error lies, as ` in layer head.1 (Head), net.py line 12`.

    Args:
        error: what the exporter raised.
        model: the network that it was given, in eval mode.
        images: images (n, channels, height, width) that the network is run on to find the operator.

    Returns:
        The place of the first call of the operator that the error names, else the place where the error was raised in
        the network's own code; empty if neither is known.
    """
    named = _NAMED.search(str(error))
    return (_place_of_call(named[1], model, images) if named else "") or location(error, model)


def place_of_packing(model: nn.Module, images: Tensor) -> str | None:
    """Returns where a network packs sequences first, as ` in layer rows (Rows), net.py line 12`; None: it does not.

    Args:
        model: the network, in eval mode.
        images: images (n, channels, height, width) that it is run on.
    """
    return _place_of_call("aten::_pack_padded_sequence", model, images)


def _place_of_call(operator: str, model: nn.Module, images: Tensor) -> str | None:
    """Returns where an operator such as `aten::median` is called first; None if it is not."""
    try:
        with torch.no_grad(), warnings.catch_warnings(), _Function(operator), _Dispatched(operator):
            warnings.simplefilter("ignore")
            model(images)
    except _Called as called:
        return location(called, model)
    except Exception:  # the network's own code fails before it comes to the call, which is what was refused then
        return None
    return None


class _Called(Exception):
    """Ends a run of the network at the call that is looked for."""


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch left it untyped
    """Mode that finds an operator by its name among those that PyTorch dispatches to a device."""

    def __init__(self, operator: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch left it untyped
        self._operator = operator

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func._schema.name == self._operator:
            raise _Called
        return func(*args, **(kwargs or {}))


class _Function(TorchFunctionMode):
    """Mode that finds an operator among the functions of PyTorch, since some are dispatched as several others."""

    def __init__(self, operator: str) -> None:
        super().__init__()
        self._name = operator.rpartition("::")[2]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") == self._name:
            raise _Called
        return func(*args, **(kwargs or {}))
