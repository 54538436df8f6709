"""Proves that channels can be removed: what the layers read without them is what they read with them, but for them.

Two passes without the layers' arithmetic are compared. In the first the network is whole, and NaN stands where channels
are to be removed. The second is the network without them, whose layers give the first one's made-up outputs without
these channels. If every layer reads the same in both, at the channels that stay, nothing between the layers depends on
the removed ones, nor on how many there are. It holds for operators that nobody thought of, and for numbers of channels
that a network's code keeps anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils._pytree import tree_map

from trainables.channels.operators import Key, Operation, Port
from trainables.channels.running import Passing, made_up, passed, shapes

TOLERANCE = 1e-3  # relative difference of two numbers that were computed alike, from tensors of another layout


@dataclass(frozen=True)
class _Read:
    """What an operator read, at the channels that stay, and the outputs that it was given.

    Attributes:
        values: what it read; empty where it stands for a function that may read anything.
        outputs: what it gave; None of a normalization.
        kept_of_output: the channels of the output that stay; None: all.
        axis: the dimension of the channels, counted from the last.
        sized: its tensors must have the sizes of its channels. Some operators that lose none never have those.
    """

    values: tuple[Tensor, ...]
    outputs: Any
    kept_of_output: Tensor | None
    axis: int
    sized: bool = True


class WholePass(Passing):
    """Pass of a whole network, with NaN in the channels that are to be removed."""

    def __init__(self, ports: Mapping[Key, Port], removed: Mapping[Key, Tensor], made: dict[object, Any]) -> None:
        """Prepares a pass.

        Args:
            ports: the ports of the network.
            removed: the channels that are to be removed, by port.
            made: keeps the made-up outputs of one pass for the next.
        """
        super().__init__({})
        self._made = made
        self._kept = {
            key: torch.tensor(sorted(set(range(ports[key].size)) - set(gone.tolist())), dtype=torch.long)
            for key, gone in removed.items()
        }
        self._gone = removed
        self.reads: list[_Read] = []

    def weighted(self, number: int, call: Operation) -> Any:
        kept = self._kept.get(call.into.key) if call.into is not None else _unmarked(call)
        values = tuple(_narrow(value, call.axis, kept) for value in call.inputs)
        if not call.mixes:
            anything = call.into is None and call.function not in _ACROSS
            self.reads.append(_Read(() if anything else values, None, None, call.axis))
            return self._normalized(call, values[0], kept)
        like = call.inputs[0]
        place = (number, tuple(like.shape))
        if place not in self._made:
            self._made[place] = tree_map(
                lambda one: made_up(number, one.shape, like) if isinstance(one, Tensor) else one, shapes(call)
            )
        clean = self._made[place]
        result = _copy(clean)
        out = call.out.key if call.out is not None else None
        kept_of_output = self._kept.get(out) if out is not None else None
        sized = kept is not None or kept_of_output is not None or _misfit(call) is None
        self.reads.append(_Read(values, clean, kept_of_output, call.axis, sized))
        if out is not None and out in self._gone:
            first = result[0] if isinstance(result, tuple) else result
            first.index_fill_(call.axis, self._gone[out].to(first.device), torch.nan)
        return result

    def _normalized(self, call: Operation, value: Tensor, kept: Tensor | None) -> Tensor:
        """Returns the output of a normalization that sees only the channels that stay."""
        arguments, whole = dict(call.arguments), call.inputs[0]
        if kept is None:
            result: Tensor = call.function(**arguments)
            return result
        there = kept.to(whole.device)
        for name in ("weight", "bias", "running_mean", "running_var"):
            if arguments.get(name) is not None and arguments[name].numel() > 1:
                arguments[name] = arguments[name].index_select(0, there)
        if "normalized_shape" in arguments:
            arguments["normalized_shape"] = (len(kept), *arguments["normalized_shape"][1:])
        arguments["input"] = value
        try:
            narrow = call.function(**arguments)
        except (IndexError, RuntimeError, ValueError) as error:
            raise Differs("a normalization does not take the channels that stay") from error
        spread = torch.full_like(whole, torch.nan)
        return spread.index_copy_(call.axis, there, narrow)


class NarrowPass(Passing):
    """Pass of a network without the channels, which compares what its operators read with a whole network's pass."""

    def __init__(self, reads: list[_Read]) -> None:
        super().__init__({})
        self._reads = reads

    def weighted(self, number: int, call: Operation) -> Any:
        if number - self.first >= len(self._reads):
            raise Differs("it calls other layers")
        read = self._reads[number - self.first]
        for value, expected in zip(call.inputs if read.values else (), read.values, strict=True):
            _expect_alike(value, expected)
        if not call.mixes:
            return call.function(**call.arguments)
        if read.sized and (misfit := _misfit(call)) is not None:
            raise Differs(misfit)
        narrow = _copy(read.outputs)
        if read.kept_of_output is not None:
            if isinstance(narrow, tuple):
                narrow = (_narrow(narrow[0], read.axis, read.kept_of_output), *narrow[1:])
            else:
                narrow = _narrow(narrow, read.axis, read.kept_of_output)
        ours = narrow[0] if isinstance(narrow, tuple) else narrow
        if call.out is not None and ours.shape[call.axis] != call.out.size:
            raise Differs("a layer gives another number of channels")
        return narrow


class Differs(Exception):
    """Says that a network without the channels computes something else."""


def difference(
    model: nn.Module, whole: WholePass, whole_scores: Tensor, example: Tensor, *, training: bool
) -> str | None:
    """Runs a network without the channels, and returns what differs from the whole one in words; None if nothing does.

    Args:
        model: the network without the channels.
        whole: the pass of the whole network.
        whole_scores: what that pass gave.
        example: the image that both are run on.
        training: whether both are run in training mode.
    """
    narrow = NarrowPass(whole.reads)
    try:
        scores = passed(model, example, narrow, training=training)
        if narrow.calls - narrow.first != len(whole.reads):
            return "it then calls other layers"
        _expect_alike(scores, whole_scores)
    except Differs as difference:
        return f"without some of its channels {difference}"
    except Exception:  # whatever the user's forward raises for another number of channels
        return "the network's code expects its number of channels"
    return None


def _unmarked(call: Operation) -> Tensor | None:
    """Returns the channels that stay of a normalization without tensors, which only the NaN in its input tells."""
    if call.function not in _ACROSS or not bool(call.inputs[0].isnan().any()):
        return None
    gone = call.inputs[0].isnan().movedim(call.axis, 0).flatten(1).all(1)
    return (~gone).nonzero().flatten().cpu()


def _narrow(value: Tensor, axis: int, kept: Tensor | None) -> Tensor:
    return value.clone() if kept is None else value.index_select(axis, kept.to(value.device))


def _copy(outputs: Any) -> Any:
    return tree_map(lambda one: one.clone() if isinstance(one, Tensor) else one, outputs)


def _misfit(call: Operation) -> str | None:
    """Returns which sizes of an operator's tensors are not those of its channels, in words; None if all are."""
    if call.into is not None and any(value.shape[call.axis] != call.into.size for value in call.inputs):
        return "a layer reads another number of channels"
    for port in (call.into, call.out):
        for slot in port.slots if port is not None else ():
            if port is not None and slot.tensor.shape[slot.dim] * slot.groups != port.size * slot.blocks:
                return "a layer's tensors have other sizes"
    return None


def _expect_alike(value: Tensor, expected: Tensor) -> None:
    if value.shape != expected.shape:
        raise Differs("a layer reads another number of values")
    if torch.equal(value, expected):  # as nearly always, and never where there is NaN; this makes no new tensors
        return
    if bool(expected.isnan().any()):
        raise Differs("values that stay depend on the removed ones")
    scale = float(expected.abs().max()) if expected.numel() else 0.0
    if value.numel() and not float((value - expected).abs().max()) <= TOLERANCE * max(scale, 1e-6):
        raise Differs("a layer reads other values")


_ACROSS = (functional.layer_norm, functional.rms_norm)  # normalizations that may have no port and mix channels
