"""Tries removals on a network, to find out which of its groups can be pruned."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainables.channels.connections import Seen
from trainables.channels.groups import Group, KeptNumber
from trainables.channels.operators import Key, Port
from trainables.channels.running import passed
from trainables.pruning.removal import Removal
from trainables.pruning.selection import with_something_left
from trainables.pruning.verification import Differs, WholePass, difference

TRIALS = 200  # number after which no more groups are tried in one way; not a time, so that all machines prune alike
LEFT = 2  # units that stay where most go, since code may take a single channel for none
Way = Literal["first", "last", "few", "most"]
WAYS: tuple[Way, ...] = ("first", "last", "few", "most")


def remove(
    model: nn.Module,
    ports: Mapping[Key, Port],
    groups: Sequence[tuple[Group, Tensor]],
    unread: Collection[int] = (),
) -> Removal:
    """Removes these units of these groups, until the removal is undone; tensors with the ids `unread` get any values.

    Raises:
        ValueError: the groups of a convolution would have different numbers of channels.
    """
    numbers = {place: value for group, units in groups for place, value in group.new_numbers(units).items()}
    return Removal(model, ports, _removed(groups), numbers, unread)


def problem(
    model: nn.Module,
    seen: Seen,
    groups: Sequence[tuple[Group, Tensor]],
    example: Tensor,
    made: dict[bool, dict[object, Any]],
) -> str | None:
    """Tries to remove these units of these groups, and puts them back.

    Args:
        model: the network.
        seen: what it showed.
        groups: the groups with the units to remove.
        example: one image (1, channels, height, width).
        made: keeps made-up outputs from one trial to the next.

    Returns:
        What would be wrong, in words; None if the rest of the network stays the same.
    """
    wholes = [
        (training, WholePass(seen.ports, _removed(groups), made.setdefault(training, {}))) for training in seen.modes
    ]
    try:
        scores = [passed(model, example, whole, training=training) for training, whole in wholes]
        removal = remove(model, seen.ports, groups, seen.unread())
    except (Differs, ValueError) as error:
        return str(error)
    try:
        found = (
            difference(model, whole, expected, example, training=training)
            for (training, whole), expected in zip(wholes, scores, strict=True)
        )
        return next((one for one in found if one is not None), None)
    finally:
        removal.undo()


def settled(
    model: nn.Module, seen: Seen, groups: Sequence[Group], example: Tensor
) -> tuple[list[Group], dict[Key, str]]:
    """Divides groups into those that can be pruned, in any combination, and the others with their reasons.

    All are tried at once, and where that fails, halves of them. A group that fails alone is tried once more with the
    numbers changed that the network's code may keep of it. Groups just like one that failed, in other blocks of the
    network, are not tried. What can be pruned by one pattern is tried by the next.
    """
    left, reasons, made = list(groups), dict[Key, str](), dict[bool, dict[object, Any]]()
    for way in WAYS:
        found = _Settled(model, seen, patterns(groups, way), example, made, numbers=way == WAYS[0])
        found.settle(left)
        left = [found.proven[group.root] for group in left if group.root in found.proven]
        reasons |= found.reasons
    return left, reasons


def culprits(model: nn.Module, seen: Seen, groups: Sequence[tuple[Group, Tensor]], example: Tensor) -> dict[Key, str]:
    """Returns those of these groups that cannot lose these units beside the others: by root, the reason."""
    units = {group.root: those for group, those in groups}
    found = _Settled(model, seen, units, example, {}, numbers=False, alike=False)
    found.settle([group for group, _ in groups])
    return found.reasons


class _Settled:
    """The groups that were settled so far."""

    def __init__(
        self,
        model: nn.Module,
        seen: Seen,
        units: Mapping[Key, Tensor],
        example: Tensor,
        made: dict[bool, dict[object, Any]],
        *,
        numbers: bool,
        alike: bool = True,
    ) -> None:
        """Begins with nothing settled.

        Args:
            model: the network.
            seen: what it showed.
            units: the units that are tried to be removed, by the root of their group.
            example: one image (1, channels, height, width).
            made: keeps made-up outputs from one trial to the next.
            numbers: try to change the numbers that the network's code may keep of a group that fails alone.
            alike: do not try groups that are just like one that failed.
        """
        self.proven: dict[Key, Group] = {}
        self.reasons: dict[Key, str] = {}
        self._model, self._seen, self._units, self._example, self._made = model, seen, units, example, made
        self._with_numbers, self._alike = numbers, alike
        self._names = {id(one): name for name, one in [*model.named_parameters(), *model.named_buffers()]}
        self._failed: dict[object, str] = {}
        self._trials = 0

    def settle(self, groups: Sequence[Group]) -> None:
        """Tries these groups together with those that are proven."""
        several = []
        for group in groups:
            alike = self._failed.get(self._signature(group)) if self._alike else None
            if alike is None and self._trials < TRIALS:
                several.append(group)
            else:
                self.reasons[group.root] = alike or "too many others had to be tried"
        if not several:
            return
        found = self._problem(several)
        if found is None:
            self.proven.update({group.root: group for group in several})
        elif len(several) > 1:
            self.settle(several[: len(several) // 2])
            self.settle(several[len(several) // 2 :])
        else:
            self._settle_alone(several[0], found)

    def _settle_alone(self, group: Group, found: str) -> None:
        taken = {(one.module, one.name) for other in self.proven.values() for one in other.numbers}
        for changed in _with_numbers(self._model, group, taken) if self._with_numbers else ():
            if self._problem([changed]) is None:
                self.proven[group.root] = changed
                return
        self.reasons[group.root] = self._failed[self._signature(group)] = found

    def _problem(self, several: Sequence[Group]) -> str | None:
        self._trials += 1
        tried = [(one, self._units[one.root]) for one in [*self.proven.values(), *several]]
        return problem(self._model, self._seen, tried, self._example, self._made)

    def _signature(self, group: Group) -> object:
        """Returns what a group has in common with those in the same place of other blocks."""
        members = [(one.port.kind, one.port.size, len(one.channels), self._place(one.port)) for one in group.members]
        return group.units, group.parts, tuple(sorted(members))

    def _place(self, port: Port) -> str:
        return re.sub(r"\d+", "", self._names.get(id(port.slots[0].tensor), "")) if port.slots else ""


def patterns(groups: Sequence[Group], way: Way) -> dict[Key, Tensor]:
    """Returns units to try a removal with, in each of a group's parts, by the group's root.

    Two halves, or two groups of one size, do not lose equally many, so that what works only by equal numbers fails. No
    layer loses all of its channels.

    Args:
        groups: the groups.
        way: which units go: some of the first half, some of the last half, one or a third of them anywhere, most of
            them. What works only for units in certain places fails in one of these ways.
    """
    lost, values = dict[str, Tensor](), dict[str, Tensor]()
    for number, group in enumerate(groups):
        width = group.units // group.parts
        generator = torch.Generator().manual_seed(number)
        order, values[str(number)] = torch.randperm(width, generator=generator), torch.rand(width, generator=generator)
        half = torch.arange(0, max(1, width // 2), 2)
        match way:
            case "first":
                gone = half[: max(1, len(half) - number % 3)]
            case "last":
                gone = width - 1 - half[: max(1, len(half) - (number + 1) % 3)]
            case "few":
                gone = order[: 1 if number % 2 else max(1, width // 3)]
            case "most":
                gone = order[: max(1, min(width - LEFT, 3 * width // 4 - number % 3))]
        lost[str(number)] = group.in_all_parts(gone)
    by_name = {str(number): group for number, group in enumerate(groups)}
    kept = with_something_left(by_name, values, lost)
    return {group.root: kept.get(name, torch.zeros(0, dtype=torch.long)) for name, group in by_name.items()}


def _with_numbers(model: nn.Module, group: Group, taken: set[tuple[str, str]]) -> list[Group]:
    """Returns a group with the numbers that the network's own code may keep of it, in several ways to try.

    Numbers that change with another group, `taken`, are left out.
    """
    tensors = {id(slot.tensor) for member in group.members for slot in member.port.slots}
    owners = [name for name, module in model.named_modules() if tensors & {id(one) for one in module.parameters()}]
    size = group.members[0].port.size
    widths, counts = list[KeptNumber](), list[KeptNumber]()
    for name in owners:  # the modules that hold one of its layers, however deep
        module = model.get_submodule(name)
        if type(module).__module__.startswith("torch.nn."):
            continue
        for attribute, value in vars(module).items():
            if type(value) is int and not attribute.startswith("_") and value > 1 and (name, attribute) not in taken:
                if value == size:
                    widths.append(KeptNumber(name, attribute, counts_units=False))
                elif value == group.units:
                    counts.append(KeptNumber(name, attribute, counts_units=True))
    ways = dict.fromkeys(tuple(way) for way in (widths, counts, [*widths, *counts]) if way)
    return [replace(group, numbers=way) for way in ways]


def _removed(groups: Sequence[tuple[Group, Tensor]]) -> dict[Key, Tensor]:
    """Returns by port the channels that go with these units of these groups."""
    gone: dict[Key, list[Tensor]] = {}
    for group, units in groups:
        for key, channels in group.removed(units).items():
            gone.setdefault(key, []).append(channels)
    return {key: torch.unique(torch.cat(several)) for key, several in gone.items()}
