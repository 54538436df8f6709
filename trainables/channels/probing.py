"""Finds which channels depend on which, by marking them with NaN and looking where the mark arrives.

A channel's number is written in binary over several images of one batch: image k holds NaN in the channels whose bit k
is 1, another image in those whose bit is 0. Where marks arrive at a layer's input channel, the images that they arrive
in spell the number. All layers mark their outputs at once: another pass, in which each layer marks all its channels in
an image of its own, has told which layers reach an input channel at all, and if several do and the images spell one
number, it is the number of each. Where they do not, the layers mark alone. If a channel depends on several of one
layer's, both images of some bits are marked, and it is connected to every channel whose number fits. This counts too
many rather than too few.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from trainables.channels.marks import (
    BATCH,
    MOST_CHANNELS,
    batch_axis,
    bits_of,
    by_image,
    mark,
    numbered,
    read_numbers,
    write_marks,
)
from trainables.channels.operators import Key, Operation, Port, Slot
from trainables.channels.running import Passing, made_up, passed, shapes

OUTPUT: Key = ("scores",)
TRAINING = 1_000_000  # number of the first operator of a pass in training mode
COMPUTED = "a weight or bias is computed from other tensors in each pass"


@dataclass
class Seen:
    """What a network showed.

    Attributes:
        ports: every end of a weighted operator by its key, and every dimension of other tensors that met a value.
        makers: keys of the ports whose channels an operator makes, in the order of their first use.
        links: pairs of ports and of their channels (n, 2) that belong together.
        loose: keys of ports of parameters and buffers that no weighted operator holds.
        classes: number of scores.
        modes: whether the network was in training in each way that it was run; it is run in training too where it then
            uses other layers, such as auxiliary heads.
    """

    ports: dict[Key, Port] = field(default_factory=dict)
    makers: list[Key] = field(default_factory=list)
    links: list[tuple[Key, Key, Tensor]] = field(default_factory=list)
    loose: set[Key] = field(default_factory=set)
    classes: int = 0
    modes: tuple[bool, ...] = (False,)


def probe(model: nn.Module, example: Tensor) -> Seen:
    """Finds the ports of a network and how their channels depend on each other.

    Args:
        model: the network, which is left as it was.
        example: one image (1, channels, height, width).
    """
    seen, cache = Seen(), dict[tuple[int, tuple[int, ...]], Any]()
    tensors = {id(one): one for one in [*model.parameters(), *model.buffers()] if one.dim() and one.is_floating_point()}
    others, batch = tensors, example.expand(BATCH, *example.shape[1:])

    def run(marks: Mapping[Key, Tensor]) -> dict[Key, Tensor]:
        reached: dict[Key, Tensor] = {}
        for training in seen.modes:
            for key, images in ran(_Probe(seen, tensors, others, marks, cache, first=False), training).reached.items():
                reached[key] = reached[key] | images if key in reached else images
        return reached

    def ran(mode: _Probe, training: bool) -> _Probe:
        mode.calls = training * TRAINING
        scores = passed(model, batch, mode, training=training)
        seen.classes = scores.shape[-1]
        if not training:
            mode.arrive(Port(OUTPUT, seen.classes), scores, -1)
        return mode

    seen.modes, used = (False,), ran(_Probe(seen, tensors, others, {}, cache, first=True), False).used
    try:
        if ran(_Probe(Seen(), tensors, others, {}, {}, first=True), True).used != used:
            ran(_Probe(seen, tensors, others, {}, cache, first=True), True)
            seen.modes = (False, True)
    except Exception:  # a network that cannot be trained is refused elsewhere, in words
        seen.modes = (False,)
    held = {id(slot.tensor) for key, port in seen.ports.items() if key not in seen.loose for slot in port.slots}
    others = {key: one for key, one in tensors.items() if key not in held}
    for key in [key for key in seen.loose if key[0] in held]:
        seen.loose.discard(key)
        del seen.ports[key]
    _connect(seen, run)
    _tie(seen)
    return seen


def _tie(seen: Seen) -> None:
    """Connects the channels of ports that have entries in one dimension of a tensor, such as a bias of two layers."""
    holders: dict[tuple[int, int], list[tuple[Port, Slot]]] = {}
    for port in seen.ports.values():
        for slot in port.slots:
            holders.setdefault((id(slot.tensor), slot.dim), []).append((port, slot))
    for (first, one), *rest in holders.values():
        for other, slot in rest:
            alike = (one.blocks, one.groups, first.size) == (slot.blocks, slot.groups, other.size)
            if alike:
                seen.links.append((first.key, other.key, torch.arange(first.size).repeat(2, 1).T))
            else:
                for port in (first, other):
                    seen.ports[port.key] = replace(seen.ports[port.key], fixed="its tensor has several uses")


def _same(one: Slot, other: Slot) -> bool:
    return one.tensor is other.tensor and one.dim == other.dim


def _connect(seen: Seen, run: Callable[[Mapping[Key, Tensor]], dict[Key, Tensor]]) -> None:
    """Finds the links between ports; `run` runs the network with these marks (images, channels) in the outputs."""
    sizes = {key: seen.ports[key].size for key in seen.makers}
    if not sizes:
        return
    reaches: dict[Key, dict[Key, Tensor]] = {}  # by port and maker: the port's channels that the maker reaches
    for start in range(0, len(seen.makers), BATCH):
        some = seen.makers[start : start + BATCH]
        arrived = run({key: mark({row: torch.ones(sizes[key])}) for row, key in enumerate(some)})
        for port, images in arrived.items():
            for row, key in enumerate(some):
                if bool(images[row].any()):
                    reaches.setdefault(port, {})[key] = images[row]
    bits = max(map(bits_of, sizes.values()))
    unclear: dict[Key, None] = {}
    pending: dict[Key, Tensor] = {}
    for port, images in run({key: numbered(size, 0, bits) for key, size in sizes.items()}).items():
        makers = reaches.get(port, {})
        numbers, single, full = read_numbers(images[: 2 * bits], bits)
        several = torch.zeros_like(numbers)
        for reached in makers.values():
            several += reached
        apart = (several > 1) & ~single & ~full
        for key, reached in makers.items():
            exact = reached & single & (numbers < sizes[key])
            _link(seen, key, port, numbers[exact], exact.nonzero().flatten())
            _link_fitting(seen, key, port, images[: 2 * bits], reached & ~exact & ~apart, bits)
            if bool((reached & apart).any()):
                unclear.setdefault(key)
        pending[port] = apart
    for alone in _plan({key: sizes[key] for key in unclear}):
        arrived = run({key: numbered(sizes[key], start, count) for key, (start, count) in alone.items()})
        for port, images in arrived.items():
            for key, (start, count) in alone.items():
                own = images[start : start + 2 * count]
                wanted = pending.get(port, own.any(0)) & own.any(0)
                numbers, single, _ = read_numbers(own, count)
                exact = wanted & single & (numbers < sizes[key])
                _link(seen, key, port, numbers[exact], exact.nonzero().flatten())
                _link_fitting(seen, key, port, own, wanted & ~exact, count)


def _plan(sizes: Mapping[Key, int]) -> list[dict[Key, tuple[int, int]]]:
    """Divides makers that mark alone over passes: in each pass, the first image and the number of bits of each."""
    passes: list[dict[Key, tuple[int, int]]] = []
    free = 0
    for key, size in sizes.items():
        bits = bits_of(size)
        if 2 * bits > free:
            passes.append({})
            free = BATCH
        passes[-1][key] = (BATCH - free, bits)
        free -= 2 * bits
    return passes


def _link(seen: Seen, maker: Key, port: Key, numbers: Tensor, columns: Tensor) -> None:
    if len(columns):
        seen.links.append((maker, port, torch.stack([numbers, columns], 1)))


def _link_fitting(seen: Seen, maker: Key, port: Key, images: Tensor, which: Tensor, bits: int) -> None:
    """Connects these channels of a port to all channels of a maker whose numbers fit their marks."""
    columns = which.nonzero().flatten()
    if not len(columns) or port in seen.loose:  # the channels of a loose tensor lie along another of its dimensions
        return
    channels = torch.arange(seen.ports[maker].size)
    alike: dict[bytes, list[int]] = {}  # channels with the same marks are connected at once
    for column in columns.tolist():
        alike.setdefault(images[:, column].numpy().tobytes(), []).append(column)
    for together in alike.values():
        marks, fits = images[:, together[0]], torch.ones(len(channels), dtype=torch.bool)
        for bit in range(bits):
            fits &= torch.where((channels >> bit) % 2 == 1, marks[2 * bit], marks[2 * bit + 1])
        sources, rest = channels[fits], torch.tensor(together)
        if len(sources):
            _link(seen, maker, port, sources, torch.full_like(sources, together[0]))
            _link(seen, maker, port, sources[:1].expand(len(rest)), rest)


class _Probe(Passing):
    """Pass in which operators mark the channels that they make."""

    def __init__(
        self,
        seen: Seen,
        known: Mapping[int, Tensor],
        others: Mapping[int, Tensor],
        marks: Mapping[Key, Tensor],
        cache: dict[tuple[int, tuple[int, ...]], Any],
        *,
        first: bool,
    ) -> None:
        super().__init__(others)
        self._seen, self._known, self._marks, self._cache, self._first = seen, known, marks, cache, first
        self.used: list[object] = []  # the functions that were called, with the ids of their tensors
        self.reached: dict[Key, Tensor] = {}  # by port: images × channels that a mark arrived in

    def weighted(self, number: int, call: Operation) -> Any:
        call = _held(call, number, self._known)
        if self._first:
            self._register(call)
        if call.into is not None:
            for value in call.inputs:
                self.arrive(call.into, value, call.axis)
        if not call.mixes:
            return call.inputs[0] if call.function in _ACROSS else call.function(**call.arguments)
        like = next(iter(call.inputs), None)
        key = (number, tuple(like.shape) if like is not None else ())
        if key not in self._cache:
            self._cache[key] = shapes(call)
        assert like is not None
        result = tree_map(
            lambda one: made_up(number, one.shape, like) if isinstance(one, Tensor) else one, self._cache[key]
        )
        made = result[0] if isinstance(result, tuple) else result
        if self._first and call.out is not None and batch_axis(made) is None:
            known = self._seen.ports[call.out.key]
            self._seen.ports[known.key] = replace(known, fixed="it does not work on the images")
        if call.out is not None and call.out.key in self._marks:
            write_marks(made, call.axis, self._marks[call.out.key])
        return result

    def met(self, tensor: Tensor, dim: int, value: Tensor, axis: int) -> None:
        port = Port((id(tensor), dim), tensor.shape[dim], (Slot(tensor, dim),))
        if self._first:
            if batch_axis(value) is not None:
                self._seen.ports.setdefault(port.key, port)
                self._seen.loose.add(port.key)
        elif port.key in self._seen.ports:
            self.arrive(port, value, axis)

    def arrive(self, port: Port, value: Tensor, axis: int) -> None:
        """Notes which images of a value are marked in which channels."""
        if self._first or value.shape[axis] != port.size:
            return
        found = by_image(value, axis)
        before = self.reached.get(port.key)
        self.reached[port.key] = found if before is None else before | found

    def _register(self, call: Operation) -> None:
        seen = self._seen
        ports = [port for port in (call.into, call.out) if port is not None]
        self.used.append((call.function, [id(slot.tensor) for port in ports for slot in port.slots]))
        for port in (call.into, call.out):
            if port is not None:
                known = seen.ports.setdefault(port.key, port)
                more = tuple(slot for slot in port.slots if not any(_same(slot, other) for other in known.slots))
                if more:  # another layer that uses the same tensor has others beside it
                    seen.ports[port.key] = replace(known, slots=known.slots + more)
        if call.mixes and call.out is not None and call.out.key not in seen.makers and call.out.size <= MOST_CHANNELS:
            seen.makers.append(call.out.key)
        if call.multiplier and call.into is not None and call.out is not None:
            makes = torch.arange(call.out.size)
            seen.links.append((call.into.key, call.out.key, torch.stack([makes // call.multiplier, makes], 1)))


def _held(call: Operation, number: int, known: Mapping[int, Tensor]) -> Operation:
    """Returns an operation whose channels are fixed where they have a weight that is no parameter or buffer."""

    def held(port: Port | None, end: str) -> Port | None:
        if port is None or all(id(slot.tensor) in known for slot in port.slots):
            return port
        key = port.key if id(port.slots[0].tensor) in known else (number, end)
        slots = tuple(slot for slot in port.slots if id(slot.tensor) in known)
        return replace(port, key=key, slots=slots, fixed=COMPUTED)

    return replace(call, into=held(call.into, "in"), out=held(call.out, "out"))


_ACROSS = (torch.nn.functional.layer_norm, torch.nn.functional.group_norm, torch.nn.functional.rms_norm)
