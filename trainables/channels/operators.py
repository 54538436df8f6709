"""Describes the operators that hold weights: which tensors have an entry for each channel of their input and output.

A network is looked at while it runs, one PyTorch function at a time, so it makes no difference whether a weight is used
by the layer that owns it, by two layers, or by a function that is handed the tensor.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# Functions that multiply by a matrix, which may be a parameter; `mm` has another name for it.
PRODUCTS: tuple[Callable[..., Any], ...] = (torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.mm, Tensor.mm)
UNEVEN = "its groups would have different numbers of channels"
Key = tuple[object, ...]
UNNAMED: Key = ("no tensor",)  # key of a port that has no tensor; a pass gives it one of its own
Kind = Literal["out", "in", "batch_norm", "layer_norm", "attention", "other"]


@dataclass(frozen=True)
class Slot:
    """A dimension of a tensor that has an entry for each channel of a port.

    Attributes:
        tensor: the parameter or buffer.
        dim: the dimension.
        blocks: number of entries for each channel, a whole number of channels apart: 3 where attention's projections to
            queries, keys and values are packed into one matrix.
        groups: groups of a convolution whose input channels these are; each group has its own part of the channels.
    """

    tensor: Tensor
    dim: int
    blocks: int = 1
    groups: int = 1


@dataclass(frozen=True)
class Port:
    """The channels at one end of an operator.

    Attributes:
        key: identifies the port: equal for all uses of the same tensor.
        size: number of channels.
        slots: the dimensions of tensors that have an entry for each channel.
        groups: number of equal parts that the channels must be divisible into.
        kind: what the channels are to their operator.
        fixed: why the channels cannot be removed; empty if they can.
    """

    key: Key
    size: int
    slots: tuple[Slot, ...] = ()
    groups: int = 1
    kind: Kind = "other"
    fixed: str = ""


@dataclass(frozen=True)
class Operation:
    """A call of an operator that holds weights.

    Attributes:
        function: the function that is called.
        arguments: its arguments by name.
        inputs: the values that it computes on.
        axis: the dimension, counted from the last, of the channels in inputs and outputs.
        into: the channels of the inputs; None where the operator holds no tensor of their number.
        out: the channels of the output; None where none can be removed.
        mixes: whether each output channel depends on several input channels. If not, channels pass through.
        multiplier: number of output channels that each input channel has to itself; 0: there are none of its own.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    inputs: tuple[Tensor, ...]
    axis: int
    into: Port | None
    out: Port | None
    mixes: bool
    multiplier: int = 0


def operation(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Operation | None:
    """Describes a call of a function; None if it is no operator that holds weights or normalizes channels."""
    found = _OPERATORS.get(function)
    if found is None:
        return None
    names, describe = found
    return describe(function, {**dict(zip(names, args, strict=False)), **kwargs})


def _linear(function: Callable[..., Any], named: dict[str, Any]) -> Operation:
    (weight, makes), bias = _matrix(named["weight"], 0), named.get("bias")
    bias_slot = () if bias is None else (Slot(bias, 0),)
    reads = 1 - makes
    out = Port((id(weight), makes), weight.shape[makes], (Slot(weight, makes), *bias_slot), kind="out")
    into = Port((id(weight), reads), weight.shape[reads], (Slot(weight, reads),), kind="in")
    return Operation(function, named, (named["input"],), -1, into, out, mixes=True)


def _convolution(function: Callable[..., Any], named: dict[str, Any]) -> Operation:
    weight, bias, groups = named["weight"], named.get("bias"), named.get("groups", 1)
    size, axis = weight.shape[1] * groups, 1 - weight.dim()
    if 1 < groups == size:  # depthwise: each input channel has output channels of its own
        multiplier = weight.shape[0] // size
        into, out = Port((id(weight), "in"), size), Port((id(weight), 0), weight.shape[0], _slots(weight, bias))
        return Operation(function, named, (named["input"],), axis, into, out, mixes=True, multiplier=multiplier)
    into = Port((id(weight), 1), size, (Slot(weight, 1, groups=groups),), groups, "in")
    out = Port((id(weight), 0), weight.shape[0], _slots(weight, bias), groups, "out")
    return Operation(function, named, (named["input"],), axis, into, out, mixes=True)


def _transposed(function: Callable[..., Any], named: dict[str, Any]) -> Operation:
    weight, bias, groups = named["weight"], named.get("bias"), named.get("groups", 1)
    fixed = "" if groups == 1 else "it is a transposed convolution with groups"
    bias_slot = () if bias is None else (Slot(bias, 0),)
    into = Port((id(weight), 0), weight.shape[0], (Slot(weight, 0),), kind="in", fixed=fixed)
    out = Port((id(weight), 1), weight.shape[1] * groups, (Slot(weight, 1), *bias_slot), kind="out", fixed=fixed)
    return Operation(function, named, (named["input"],), 1 - weight.dim(), into, out, mixes=True)


def _product(function: Callable[..., Any], named: dict[str, Any]) -> Operation | None:
    """Describes x @ weight where the weight is a parameter of two dimensions, or a transposed one."""
    x, (weight, makes) = named["input"], _matrix(named["mat2"] if "mat2" in named else named["other"], 1)
    if not isinstance(weight, nn.Parameter) or isinstance(x, torch.nn.Parameter) or weight.dim() != 2:
        return None
    reads = 1 - makes
    into = Port((id(weight), reads), weight.shape[reads], (Slot(weight, reads),), kind="in")
    out = Port((id(weight), makes), weight.shape[makes], (Slot(weight, makes),), kind="out")
    return Operation(function, named, (x,), -1, into, out, mixes=True)


def _by_channel(function: Callable[..., Any], named: dict[str, Any]) -> Operation | None:
    """Describes batch and instance normalization, PReLU and group normalization, whose channels are dimension 1.

    Without a tensor that has an entry for each channel it is a function like any other, since channels pass through it.
    Group normalization mixes those of a group, so it is an operator in any case; with no tensor to name its port by, a
    pass names it (`trainables.channels.running`). So is PReLU, since one slope for all cannot be told from that of the
    only channel that is left; with one for all it has no port.

    A batch normalization that keeps statistics uses them also in training, since those of marked or made-up numbers
    mean nothing.
    """
    if function is functional.batch_norm and named.get("running_mean") is not None:
        named = {**named, "training": False}
    x, groups = named["input"], named.get("num_groups", 1)
    tensors = [named.get(name) for name in ("weight", "bias", "running_mean", "running_var")]
    there = [one for one in tensors if one is not None and one.numel() == x.shape[1]]
    kind: Kind = "batch_norm" if function is functional.batch_norm and named.get("weight") is not None else "other"
    if not there and function is torch.prelu:
        return Operation(function, named, (x,), 1 - x.dim(), None, None, mixes=False)
    if not there and function is not functional.group_norm:
        return None
    key: Key = (id(there[0]), 0) if there else UNNAMED
    port = Port(key, x.shape[1], tuple(Slot(one, 0) for one in there), groups, kind)
    return Operation(function, named, (x,), 1 - x.dim(), port, port, mixes=False)


def _layer_norm(function: Callable[..., Any], named: dict[str, Any]) -> Operation:
    """Describes layer normalization; of several dimensions the first is taken for that of the channels."""
    shape, there = (
        named["normalized_shape"],
        [one for one in (named.get("weight"), named.get("bias")) if one is not None],
    )
    port = Port((id(there[0]), 0), shape[0], tuple(Slot(one, 0) for one in there), kind="layer_norm") if there else None
    return Operation(function, named, (named["input"],), -len(shape), port, port, mixes=False)


def _attention(function: Callable[..., Any], named: dict[str, Any]) -> Operation:
    """Describes `nn.MultiheadAttention`: its width is that of its input, of its output, and of all its heads together.

    The same channels of each head are removed, so that the number of heads stays.
    """
    width, heads, packed = named["embed_dim_to_check"], named["num_heads"], named["in_proj_weight"]
    inputs = tuple(named[name] for name in ("query", "key", "value"))
    fixed = "its queries, keys and values have weights of their own" if named.get("use_separate_proj_weight") else ""
    out_weight = named["out_proj_weight"]
    slots = [Slot(out_weight, 0), Slot(out_weight, 1)]
    if packed is not None:
        slots += [Slot(packed, 0, blocks=3), Slot(packed, 1)]
    vectors = (("in_proj_bias", 0, 3), ("out_proj_bias", 0, 1), ("bias_k", 2, 1), ("bias_v", 2, 1))
    slots += [Slot(named[name], dim, blocks) for name, dim, blocks in vectors if named.get(name) is not None]
    port = Port((id(out_weight), "width"), width, tuple(slots), heads, "attention", fixed)
    return Operation(function, named, inputs, -1, port, port, mixes=True)


def _recurrent(function: Callable[..., Any], named: dict[str, Any]) -> Operation:
    """Describes an LSTM, a GRU or a plain recurrent layer: features of its input can be removed, its state's cannot."""
    second = named["hx"]
    # A packed sequence has its lengths in the second place, which moves most arguments by one.
    packed = isinstance(second, Tensor) and not second.is_floating_point()
    names = ("has_biases", "dropout", "batch_first") if packed else ("params", "num_layers", "bidirectional")
    weights, layers, both = (named[name] for name in names)
    per_direction = len(weights) // (layers * (2 if both else 1))  # with `proj_size` there is one more
    firsts = [weights[0], *([weights[per_direction]] if both else [])]
    into = Port((id(firsts[0]), 1), firsts[0].shape[1], tuple(Slot(one, 1) for one in firsts), kind="in")
    return Operation(function, named, (named["input"],), -1, into, None, mixes=True)


def _matrix(weight: Tensor, dim: int) -> tuple[Tensor, int]:
    """Returns the parameter that a matrix is, or is the transpose of, with the place of the matrix's dimension in it.

    Tied weights are read so: as `weight` by a layer, and as `weight.t()` by a product.
    """
    base = weight._base
    if isinstance(base, nn.Parameter) and base.dim() == 2 and weight.dim() == 2:
        shown, plain, across = ((one.shape, one.stride(), one.data_ptr()) for one in (weight, base, base.t()))
        if shown == across and (shown != plain or base.numel() == 1):  # of a single number both are alike
            return base, 1 - dim
    return weight, dim


def _slots(weight: Tensor, bias: Tensor | None) -> tuple[Slot, ...]:
    return (Slot(weight, 0),) if bias is None else (Slot(weight, 0), Slot(bias, 0))


_CONVOLUTION = ("input", "weight", "bias", "stride", "padding", "dilation", "groups")
_TRANSPOSED = ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation")
_NORM = ("input", "running_mean", "running_var", "weight", "bias", "use_batch", "momentum", "eps")
_ATTENTION = (
    "query key value embed_dim_to_check num_heads in_proj_weight in_proj_bias bias_k bias_v add_zero_attn dropout_p "
    "out_proj_weight out_proj_bias"
)
_RECURRENT = "input hx params has_biases num_layers dropout train bidirectional batch_first"
_OPERATORS: dict[Callable[..., Any], tuple[tuple[str, ...], Callable[..., Operation | None]]] = {
    functional.linear: (("input", "weight", "bias"), _linear),
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), (_CONVOLUTION, _convolution)),
    torch.conv_transpose1d: (_TRANSPOSED, _transposed),
    torch.conv_transpose2d: (_TRANSPOSED, _transposed),
    torch.conv_transpose3d: (_TRANSPOSED, _transposed),
    **dict.fromkeys(PRODUCTS[:3], (("input", "other"), _product)),
    **dict.fromkeys(PRODUCTS[3:], (("input", "mat2"), _product)),
    functional.batch_norm: ((*_NORM[:3], "weight", "bias", "training", "momentum", "eps"), _by_channel),
    functional.instance_norm: ((*_NORM[:5], "use_input_stats", "momentum", "eps"), _by_channel),
    functional.group_norm: (("input", "num_groups", "weight", "bias", "eps"), _by_channel),
    torch.prelu: (("input", "weight"), _by_channel),
    functional.layer_norm: (("input", "normalized_shape", "weight", "bias", "eps"), _layer_norm),
    functional.rms_norm: (("input", "normalized_shape", "weight", "eps"), _layer_norm),
    functional.multi_head_attention_forward: (tuple(_ATTENTION.split()), _attention),
    **{one: (tuple(_RECURRENT.split()), _recurrent) for one in (torch.lstm, torch.gru, torch.rnn_tanh, torch.rnn_relu)},
}


def positions(slot: Slot, channels: Tensor, size: int) -> Tensor:
    """Returns the entries of a slot that belong to these of a port's channels, in the order of the tensor.

    Args:
        slot: the slot; one without groups, where the entries differ by group.
        channels: numbers of the channels (n,), ascending.
        size: number of all channels of the port.
    """
    return torch.cat([channels + block * size for block in range(slot.blocks)])


def kept_of_group(channels: Tensor, size: int, groups: int) -> list[Tensor]:
    """Returns for each group of a convolution the positions of these channels inside the group; all are equally many.

    Raises:
        ValueError: the groups have different numbers of channels.
    """
    width = size // groups
    parts = [channels[(channels >= low) & (channels < low + width)] - low for low in range(0, size, width)]
    if len({len(part) for part in parts}) != 1:
        raise ValueError(UNEVEN)
    return parts


def lowest_common_multiple(numbers: list[int]) -> int:
    """Returns the least number of parts that suits all ports, which are divided into these numbers of parts."""
    return math.lcm(*numbers)
