"""Runs a network with marks on its channels, and finds the ends of its operators and what depends on what."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from trainables.channels.connections import COMPUTED, OUTPUT, Seen, connect, tie
from trainables.channels.marks import BATCH, MOST_CHANNELS, batch_axis, by_image, write_marks
from trainables.channels.operators import Key, Operation, Port, Slot
from trainables.channels.running import Passing, dimension, made_up, passed, shapes

TRAINING = 1_000_000  # number of the first operator of a pass in training mode


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

    def ran(mode: _Probe, training: bool, images: Tensor = batch) -> _Probe:
        mode.calls = training * TRAINING
        scores = passed(model, images, mode, training=training)
        seen.classes = scores.shape[-1]
        seen.touched |= mode.touched
        if not training:
            mode.arrive(Port(OUTPUT, seen.classes), scores, -1)
        return mode

    seen.modes, used = (False,), ran(_Probe(seen, tensors, others, {}, cache, first=True), False).used
    try:
        few = batch[:2]  # which layers are called does not depend on how many images there are
        if ran(_Probe(Seen(), tensors, others, {}, {}, first=True), True, few).used != used:
            ran(_Probe(seen, tensors, others, {}, cache, first=True), True)
            seen.modes = (False, True)
    except Exception:  # a network that cannot be trained is refused elsewhere, in words
        seen.modes = (False,)
    held = {id(slot.tensor) for key, port in seen.ports.items() if key not in seen.loose for slot in port.slots}
    others = {key: one for key, one in tensors.items() if key not in held}
    for key in [key for key in seen.loose if key[0] in held]:
        seen.loose.discard(key)
        del seen.ports[key]
    connect(seen, run)
    tie(seen)
    return seen


def _same(one: Slot, other: Slot) -> bool:
    return one.tensor is other.tensor and one.dim == other.dim


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

    def _register_fed(self, into: Port, origin: Tensor, dim: int | None) -> None:
        """Connects a parameter that an operator reads as its input, such as learnt queries, with its channels."""
        if dim is not None and origin.shape[dim] == into.size:
            port = Port((id(origin), dim), into.size, (Slot(origin, dim),))
            self._seen.ports.setdefault(port.key, port)
            self._seen.loose.add(port.key)
            self._seen.links.append((port.key, into.key, torch.arange(into.size).repeat(2, 1).T))

    def _register(self, call: Operation) -> None:
        seen = self._seen
        ports = [port for port in (call.into, call.out) if port is not None]
        self.used.append((call.function, [id(slot.tensor) for port in ports for slot in port.slots]))
        for value in call.inputs:
            if call.into is not None and (origin := self.origin(value)) is not None:
                self._register_fed(call.into, origin, dimension(origin, value, call.axis))
        for port in (call.into, call.out):
            if port is not None:
                known = seen.ports.setdefault(port.key, port)
                more = tuple(slot for slot in port.slots if not any(_same(slot, other) for other in known.slots))
                if call.mixes:
                    seen.mixing.add(port.key)
                if more:  # another layer that uses the same tensor has others beside it
                    seen.ports[port.key] = replace(known, slots=known.slots + more)
        if call.mixes and call.into is not None:
            seen.readers.add(call.into.key)
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
