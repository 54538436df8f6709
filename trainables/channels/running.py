"""Runs a network without the arithmetic of its layers, to see how channels travel between them.

The output of each convolution, matrix product, attention and recurrent layer is replaced by made-up numbers of the same
shape, so that a pass takes as long as what lies between the layers, and no FLOPs are spent on weights. NaN marks
channels: it spreads to whatever depends on them.
"""

import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _NormBase
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map

from trainables.channels.kept_state import state_kept
from trainables.channels.operators import PRODUCTS, UNNAMED, Operation, operation
from trainables.models.build import frozen
from trainables.random_states import random_states_kept

_JOINS = ("cat", "concat", "concatenate")
_ELEMENTWISE = {"add", "sub", "rsub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "pow", "where"}
_ELEMENTWISE |= {"maximum", "minimum", "addcmul", "lerp", "radd", "rmul", "iadd", "imul", "isub", "itruediv", "truediv"}
_SEED = 2_147_483_647
TRAINING = 1_000_000  # number of the first operator of a pass in training mode


class Passing(TorchFunctionMode):
    """Mode in which functions that hold weights are handed to `weighted`, and those that use other tensors are noted.

    A subclass says what a weighted operator gives, in `weighted`, and may look at the values that meet a parameter or
    buffer, in `met`.
    """

    def __init__(self, others: Mapping[int, Tensor]) -> None:
        """Prepares a pass.

        Args:
            others: parameters and buffers by their id; what uses them outside of weighted operators is noted.
        """
        super().__init__()
        self._others = others
        self._derived: dict[int, tuple[Tensor, Tensor]] = {}  # id of a view or copy of a tensor, to both
        self.calls = self.first = 0  # number of the next operator, and of the first one of the pass
        self.touched: set[int] = set()  # ids of the others that were used outside of weighted operators

    def weighted(self, number: int, call: Operation) -> Any:
        """Returns the output of the operator of this number, counted from `first`."""
        raise NotImplementedError

    def met(self, tensor: Tensor, dim: int, value: Tensor, axis: int) -> None:
        """Is told that a dimension of a parameter or buffer lies along a dimension of a value."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _DROPOUTS:
            return args[0]
        if func in _ANSWERS:
            return torch.full_like(args[0] if args else kwargs["input"], _ANSWERS[func], dtype=torch.bool)
        call = operation(func, args, kwargs)
        if call is not None:
            number, self.calls = self.calls, self.calls + 1
            return self.weighted(number, _named(call, number))
        result = _without_marks(func, args, kwargs) if str(func) in _PLACING else func(*args, **kwargs)
        if self._others:
            self._note(func, args, result)
        return result

    def _note(self, func: Any, args: Any, result: Any) -> None:
        name = getattr(func, "__name__", "").strip("_")
        several = args[0] if name in _JOINS and args else args
        if not isinstance(several, tuple | list):
            return
        tensors = [one for one in several if isinstance(one, Tensor)]
        self.touched |= {id(one) for one in tensors if id(one) in self._others}
        ours = [(one, found) for one in tensors if (found := self.origin(one)) is not None]
        if not ours or not isinstance(result, Tensor):
            return
        values = [one for one in tensors if self.origin(one) is None]
        if len(tensors) == 1:  # a view or a copy of the tensor
            self._derived[id(result)] = (result, ours[0][1])
        elif name in _JOINS or name in _ELEMENTWISE:
            joined = args[1] if name in _JOINS and len(args) > 1 else None
            for shown, origin in ours:
                for value in values:
                    self._meet(origin, shown, value, joined)

    def origin(self, tensor: Tensor) -> Tensor | None:
        """Returns the parameter or buffer that a tensor is, or is a view or copy of; None if it is neither."""
        if id(tensor) in self._others:
            return self._others[id(tensor)]
        found = self._derived.get(id(tensor))
        return found[1] if found is not None else None

    def _meet(self, origin: Tensor, shown: Tensor, value: Tensor, joined: int | None) -> None:
        for axis in range(-min(shown.dim(), value.dim()), 0):
            dim = dimension(origin, shown, axis)
            if dim is None or value.shape[axis] != shown.shape[axis]:
                continue
            if joined is None or joined not in (axis, axis + value.dim()):
                self.met(origin, dim, value, axis)


def _without_marks(func: Any, args: Any, kwargs: Any) -> Any:
    """Runs a function of images without NaN, and marks all that comes of an image which had any: it mixes channels."""
    given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor) and one.is_floating_point()]
    plain = [
        tree_map(lambda one: one.nan_to_num() if isinstance(one, Tensor) else one, some) for some in (args, kwargs)
    ]
    result = func(*plain[0], **plain[1])
    for one in given:
        if len(one) == len(result):
            result[one.isnan().flatten(1).any(1)] = torch.nan
    return result


def _named(call: Operation, number: int) -> Operation:
    """Returns an operation whose port has a key of this operator's, if it has no tensor to be known by."""
    if call.into is None or call.into.key != UNNAMED:
        return call
    port = replace(call.into, key=(*UNNAMED, number))
    return replace(call, into=port, out=port)


def dimension(origin: Tensor, shown: Tensor, axis: int) -> int | None:
    """Returns the dimension of a tensor that a dimension, counted from the last, of its view shows; None if none is."""
    size = shown.shape[axis]
    dims = [dim for dim in range(origin.dim()) if origin.shape[dim] == size]
    if size == 1 or not dims:
        return None
    return axis + origin.dim() if axis + origin.dim() in dims else dims[-1]


def made_up(number: int, shape: torch.Size, like: Tensor) -> Tensor:
    """Returns the made-up output of the operator of this number: the same for a number and a shape, and for all images.

    Numbers are drawn for one entry of the first dimension, which is that of the images in most networks, and the result
    shows them for each: it is to be copied before it is changed.
    """
    generator = torch.Generator().manual_seed(_SEED - number)
    one = (torch.rand(shape[1:], generator=generator) + 0.1).to(like.device, like.dtype)
    return one.expand(shape)


def shapes(call: Operation) -> Any:
    """Returns the outputs that a call would have, as tensors without values; raises what the function would raise."""
    lengths = torch.int64 if call.function in _RECURRENT else None  # of packed sequences: the shapes follow from them

    def without_values(one: object) -> object:
        return one.to("meta") if isinstance(one, Tensor) and one.dtype != lengths else one

    away = tree_map(without_values, dict(call.arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call.function(*away.values()) if call.function in _POSITIONAL else call.function(**away)


@contextmanager
def looked_at(model: nn.Module, *, training: bool = False) -> Iterator[None]:
    """Keeps a model in eval mode, without gradients, fused operators and warnings, for a look at what it does.

    What its modules hold, and all random states, are afterwards as they were.

    Args:
        model: the model.
        training: the caller puts modules in training mode, in which they may change parameters too.
    """
    fused = torch.backends.mha.get_fastpath_enabled()
    with (
        frozen(model),
        state_kept(model, parameters=training),
        random_states_kept(),
        torch.no_grad(),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fused)


def passed(model: nn.Module, images: Tensor, mode: Passing, *, training: bool = False) -> Tensor:
    """Runs a network in a mode, with the same random numbers each time, and returns its scores.

    No counter of FLOPs sees it, since nothing is multiplied by weights, and shapes are asked for on the side.

    Args:
        model: the network, which is left as it was.
        images: images (n, channels, height, width).
        mode: the mode.
        training: tell the network's own modules that they are in training; PyTorch's layers stay in eval mode.
    """
    with looked_at(model, training=training):
        random.seed(0)
        np.random.seed(0)
        torch.manual_seed(0)
        for module in model.modules():
            module.training = training and not isinstance(module, _NormBase) and not _is_of_torch(module)
        mode.calls = mode.first = training * TRAINING
        with _disable_current_modes(), mode:
            scores = model(images.clone())
    while isinstance(scores, tuple | list):
        scores = scores[0]
    assert isinstance(scores, Tensor)
    return scores


def _is_of_torch(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn.")


_DROPOUTS = (functional.dropout, functional.dropout1d, functional.dropout2d, functional.dropout3d)
# What a network is told that looks out for NaN: marks are none of its own, and it may end itself because of them.
_ANSWERS: Mapping[Any, bool] = {
    **dict.fromkeys((torch.isfinite, Tensor.isfinite), True),
    **dict.fromkeys((torch.isnan, Tensor.isnan, torch.isinf, Tensor.isinf), False),
}
# Functions that read at places which numbers of theirs say. NaN is none, and ends the process.
_PLACING = frozenset({"torchvision.deform_conv2d", "torchvision.deform_conv2d.default"})
_RECURRENT = (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)
# Functions whose arguments have no names. A TypeError of `x @ weight` would be taken for an unknown operand.
_POSITIONAL: tuple[Callable[..., Any], ...] = (*_RECURRENT, *PRODUCTS)
