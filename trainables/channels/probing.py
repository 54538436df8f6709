"""Runs a network with marks on its channels, and finds the ends of its operators and what depends on what."""

from collections.abc import Hashable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from trainables.channels.connections import COMPUTED, OUTPUT, Row, Seen, connect, tie, untie
from trainables.channels.marks import MOST_CHANNELS, batch_axis, by_image, marked
from trainables.channels.operators import Key, Operation, Port, Slot
from trainables.channels.running import Passing, dimension, made_up, passed, shapes

FEW, MORE = 2, 3  # images of the passes that show which dimension of a value holds the images
MOST_IMAGES = 64  # images of a pass with marks
# Numbers of the largest value in such a pass: 32 MB. glibc takes larger blocks from the kernel and gives them back each
# time, and a page that is touched for the first time takes longer than to compute on it.
LARGEST = 8_000_000


def probe(model: nn.Module, example: Tensor) -> Seen:
    """Finds the ports of a network and how their channels depend on each other.

    Args:
        model: the network, which is left as it was.
        example: one image (1, channels, height, width).
    """
    passes = _Passes(model, example)
    looks = passes.looks()
    passes.seen.modes = tuple(looks)
    marked_passes = _MarkedPasses(passes, looks, passes.forget_loose())
    connect(passes.seen, marked_passes.run)
    untie(passes.seen)
    tie(passes.seen)
    return passes.seen


def _same(one: Slot, other: Slot) -> bool:
    return one.tensor is other.tensor and one.dim == other.dim


@dataclass
class _Look:
    """Where the images lie in each value that a pass shows: in the dimension that changes with their number.

    Attributes:
        largest: numbers of the largest value in the pass with few images.
    """

    largest: int = 1
    _few: dict[Hashable, torch.Size] = field(default_factory=dict)
    _axes: dict[Hashable, int | None] = field(default_factory=dict)

    def axis(self, place: Hashable, value: Tensor, images: int) -> int | None:
        """Returns the dimension of the images; None if there is none, or if it is not known.

        Args:
            place: identifies the value in each pass.
            value: the value.
            images: number of images of the pass: `FEW` of the first, `MORE` of the second, any of all others.
        """
        if images == FEW and not self._axes:
            self._few.setdefault(place, value.shape)
            self.largest = max(self.largest, value.numel())
        elif images == MORE and place in self._few:
            self._axes.setdefault(place, batch_axis(self._few[place], FEW, value.shape, MORE))
        found = self._axes.get(place)
        there = found is not None and found < value.dim() and value.shape[found] % images == 0
        return found if there else None


class _Probe(Passing):
    """Pass in which operators mark the channels that they make."""

    def __init__(
        self,
        seen: Seen,
        known: Mapping[int, Tensor],
        others: Mapping[int, Tensor],
        cache: dict[Hashable, Any],
        images: int,
        look: _Look,
        marks: Mapping[Key, Tensor] | None = None,
    ) -> None:
        """Prepares a pass.

        Args:
            seen: what the network showed; a pass without marks adds its ports.
            known: all parameters and buffers, by id.
            others: those whose uses outside of weighted operators are noted.
            cache: keeps shapes of outputs, and made-up ones of one image, from pass to pass.
            images: number of images.
            look: where the images lie in each value; the first two passes fill it.
            marks: marks (images, channels) by the port that makes them; None: ports are added.
        """
        super().__init__(others)
        self._seen, self._known, self._cache, self._look = seen, known, cache, look
        self._marks, self._first, self.images = marks or {}, marks is None, images
        self.used: list[object] = []  # the functions that were called, with the ids of their tensors
        self.reached: dict[Key, Tensor] = {}  # by port: images × channels that a mark arrived in

    def weighted(self, number: int, call: Operation) -> Any:
        call = _held(call, number, self._known)
        if self._first:
            self._register(call)
        if call.into is not None:
            for place, value in enumerate(call.inputs):
                self._arrive(call.into, value, call.axis, (number, place))
        if not call.mixes:
            return call.inputs[0] if call.function in _ACROSS else call.function(**call.arguments)
        like = next(iter(call.inputs), None)
        key = (number, tuple(like.shape) if like is not None else ())
        if key not in self._cache:
            self._cache[key] = shapes(call)
        assert like is not None
        several = self._cache[key]
        first, *rest = several if isinstance(several, tuple) else (several,)
        made = self._made(number, call, self._made_up(number, first.shape, like))
        if not isinstance(several, tuple):
            return made
        others = [self._made_up(number, one.shape, like).clone() if isinstance(one, Tensor) else one for one in rest]
        return made, *others

    def _made_up(self, number: int, shape: torch.Size, like: Tensor) -> Tensor:
        """Returns what `made_up` gives, which is drawn once for all passes."""
        key = (number, "numbers", shape[1:], like.dtype)
        if key not in self._cache:
            self._cache[key] = made_up(number, torch.Size((1, *shape[1:])), like)
        one: Tensor = self._cache[key]
        return one.expand(shape)

    def _made(self, number: int, call: Operation, made: Tensor) -> Tensor:
        """Returns the output of an operator with its marks."""
        batch = self._look.axis((number, "out"), made, self.images)
        if self._first and call.out is not None and batch is None:
            known = self._seen.ports[call.out.key]
            self._seen.ports[known.key] = replace(known, fixed="it does not work on the images")
        if call.out is None or call.out.key not in self._marks:
            return made.clone()
        return marked(made, call.axis, batch, self._marks[call.out.key])

    def met(self, tensor: Tensor, dim: int, value: Tensor, axis: int) -> None:
        port = Port((id(tensor), dim), tensor.shape[dim], (Slot(tensor, dim),))
        place = (port.key, self.calls, value.dim())
        if self._first:
            if self._look.axis(place, value, self.images) is not None:
                self._seen.ports.setdefault(port.key, port)
                self._seen.loose.add(port.key)
        elif port.key in self._seen.ports:
            self._arrive(port, value, axis, place)

    def scored(self, scores: Tensor) -> None:
        """Notes which images of the scores are marked in which classes."""
        self._arrive(Port(OUTPUT, scores.shape[-1]), scores, -1, OUTPUT)

    def _arrive(self, port: Port, value: Tensor, axis: int, place: Hashable) -> None:
        """Notes which images of a value are marked in which channels."""
        batch = self._look.axis(place, value, self.images)
        if self._first or value.shape[axis] != port.size:
            return
        found = by_image(value, axis, batch, self.images)
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


class _Passes:
    """Runs a network without marks, twice in each mode, and notes its ports and where its values hold the images."""

    def __init__(self, model: nn.Module, example: Tensor) -> None:
        self._model, self._example = model, example
        held = [*model.parameters(), *model.buffers()]
        self.tensors = {id(one): one for one in held if one.dim() and one.is_floating_point()}
        self.seen, self.cache = Seen(), dict[Hashable, Any]()

    def looks(self) -> dict[bool, _Look]:
        """Returns where the images lie in evaluation, and in training where that calls other layers."""
        look, used = self._few(training=False)
        self._register(look, training=False)
        looks = {False: look}
        with suppress(Exception):  # a network that cannot be trained is refused elsewhere, in words
            in_training, also_used = self._few(training=True)
            if also_used != used:
                self._register(in_training, training=True)
                looks[True] = in_training
        return looks

    def forget_loose(self) -> dict[int, Tensor]:
        """Drops the loose ports of tensors that operators hold; returns the tensors that no operator holds, by id."""
        seen = self.seen
        held = {id(slot.tensor) for key, port in seen.ports.items() if key not in seen.loose for slot in port.slots}
        for key in [key for key in seen.loose if key[0] in held]:
            seen.loose.discard(key)
            del seen.ports[key]
        return {key: one for key, one in self.tensors.items() if key not in held}

    def ran(self, mode: _Probe, *, training: bool) -> _Probe:
        """Runs as many images as `mode` says, and notes what it saw."""
        images = self._example.expand(mode.images, *self._example.shape[1:])
        scores = passed(self._model, images, mode, training=training)
        self.seen.classes = scores.shape[-1]
        self.seen.touched |= mode.touched
        if not training:
            mode.scored(scores)
        return mode

    def _few(self, *, training: bool) -> tuple[_Look, Sequence[object]]:
        """Notes the shapes of a pass with a few images, and returns which layers it calls."""
        look = _Look()
        mode = _Probe(Seen(), self.tensors, self.tensors, self.cache, FEW, look)
        return look, self.ran(mode, training=training).used

    def _register(self, look: _Look, *, training: bool) -> None:
        """Notes the ports, and the shapes of a pass with more images."""
        self.ran(_Probe(self.seen, self.tensors, self.tensors, self.cache, MORE, look), training=training)


class _MarkedPasses:
    """Runs a network with marks, each row of them on an image of its own, and tells where they arrive."""

    def __init__(self, passes: _Passes, looks: Mapping[bool, _Look], others: Mapping[int, Tensor]) -> None:
        self._passes, self._looks, self._others = passes, looks, others
        self._most = max(1, min(MOST_IMAGES, LARGEST * FEW // max(one.largest for one in looks.values())))

    def run(self, rows: Sequence[Row]) -> dict[Key, Tensor]:
        """Returns the channels (rows, channels) of each port that the marks of each row arrive in, in any mode."""
        passes = -(-len(rows) // self._most)
        images = -(-len(rows) // passes)
        arrived: dict[Key, Tensor] = {}
        for start in range(0, len(rows), images):
            marks = _by_maker(rows[start : start + images], images)
            for training, look in self._looks.items():
                mode = _Probe(
                    self._passes.seen, self._passes.tensors, self._others, self._passes.cache, images, look, marks
                )
                for key, found in self._passes.ran(mode, training=training).reached.items():
                    if key not in arrived:
                        arrived[key] = torch.zeros(passes * images, found.shape[1], dtype=torch.bool)
                    arrived[key][start : start + images] |= found
        return {key: found[: len(rows)] for key, found in arrived.items()}


def _by_maker(rows: Sequence[Row], images: int) -> dict[Key, Tensor]:
    """Returns the marks (images, channels) of each maker; images beyond the rows are not marked."""
    marks: dict[Key, Tensor] = {}
    for number, row in enumerate(rows):
        for key, channels in row.items():
            if key not in marks:
                marks[key] = torch.zeros(images, len(channels), dtype=torch.bool)
            marks[key][number] = channels
    return marks


_ACROSS = (torch.nn.functional.layer_norm, torch.nn.functional.group_norm, torch.nn.functional.rms_norm)
