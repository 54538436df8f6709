"""Finds what can be pruned in a network, and says of every other layer why it is left as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from trainables.channels.groups import SCORES, Group, KeptNumber, groups_of
from trainables.channels.operators import Key, Port
from trainables.channels.order import layers_backwards
from trainables.channels.probing import Seen, probe
from trainables.models.module_sizes import keeps_groups
from trainables.pruning.removal import Removal
from trainables.pruning.selection import pattern
from trainables.pruning.verification import WholePass, difference, passed

WEIGHTED = (_ConvNd, nn.Linear, nn.MultiheadAttention, nn.RNNBase)  # layers that a report speaks of
TRIALS = 200  # number of trials after which no more groups are tried; not a time, so that all machines prune alike


@dataclass(frozen=True)
class LeftAlone:
    """A layer whose output channels are not pruned.

    Attributes:
        layer: its name in the network.
        reason: why, in words that complete "it is left as it is: ".
    """

    layer: str
    reason: str


@dataclass(frozen=True)
class Prunable:
    """What can be pruned in a network.

    Attributes:
        ports: all ends of its operators.
        groups: the groups that can lose units, by the name of their first layer, in the order of `layers_backwards`.
        left_alone: the layers whose output channels stay, by order of definition.
    """

    ports: Mapping[Key, Port]
    groups: Mapping[str, Group]
    left_alone: tuple[LeftAlone, ...]

    def remove(self, model: nn.Module, units: Mapping[str, Tensor]) -> Removal:
        """Removes these units of these groups from the network that was analysed, until the removal is undone."""
        return _remove(model, self.ports, [(self.groups[name], those) for name, those in units.items()])


def analyse(model: nn.Module, example: Tensor) -> Prunable:
    """Finds the groups of channels that can be removed without changing what the rest of the network means.

    Args:
        model: the network, in any mode; it is left as it was.
        example: one image (1, channels, height, width) on the network's device.
    """
    seen = probe(model, example)
    layers = layers_backwards(model, example)
    names = {module: name for name, module in model.named_modules()}
    keys: dict[Key, str] = {}
    for layer in layers:
        weight = layer._parameters.get("weight")
        if weight is not None:
            dim = 1 if isinstance(layer, _ConvNd) and layer.transposed else 0
            keys.setdefault((id(weight), dim), names[layer])
    named: dict[object, str] = {id(value): name for name, value in model.named_parameters(remove_duplicate=False)}
    for key in seen.makers:  # operators that are handed a weight, and attention
        keys.setdefault(key, named.get(key[0], "").rpartition(".")[0] or f"operator {key[0]}")
    fixed: dict[Key, str] = {
        (id(layer.weight), "in"): "each of its groups has one channel"
        for layer in model.modules()
        if isinstance(layer, _ConvNd) and keeps_groups(layer)
    }
    groups = groups_of(seen, keys, fixed)
    reasons = {group.root: group.fixed for group in groups if group.fixed}
    proven, doubtful = _proven(model, seen, [group for group in groups if not group.fixed], example)
    reasons |= doubtful
    open_groups = {keys[group.root]: group for group in proven}
    prunable = {member.port.key for group in proven for member in group.members if member.makes}
    why: dict[Key, str] = {}
    for group in groups:
        if group.root in reasons:
            for member in group.members:
                if member.makes and member.port.key not in prunable:
                    reason = reasons[group.root]
                    if reason == SCORES and member.port.size != seen.classes:
                        reason = "its channels reach the scores without another layer between them"
                    why.setdefault(member.port.key, reason)
    return Prunable(seen.ports, open_groups, _left_alone(model, seen, prunable, why))


def _removed(groups: Sequence[tuple[Group, Tensor]]) -> dict[Key, Tensor]:
    """Returns by port the channels that go with these units of these groups."""
    gone: dict[Key, list[Tensor]] = {}
    for group, units in groups:
        for key, channels in group.removed(units).items():
            gone.setdefault(key, []).append(channels)
    return {key: torch.unique(torch.cat(several)) for key, several in gone.items()}


def _remove(model: nn.Module, ports: Mapping[Key, Port], groups: Sequence[tuple[Group, Tensor]]) -> Removal:
    numbers = {place: value for group, units in groups for place, value in group.new_numbers(units).items()}
    return Removal(model, ports, _removed(groups), numbers)


def _proven(
    model: nn.Module, seen: Seen, groups: Sequence[Group], example: Tensor
) -> tuple[list[Group], dict[Key, str]]:
    """Divides groups into those that can be pruned, all at once and each alone, and the others with their reasons."""
    proven: dict[Key, Group] = {}
    reasons: dict[Key, str] = {}
    made: dict[object, Any] = {}
    trials = 0

    def problem(several: Sequence[Group]) -> str | None:
        nonlocal trials
        trials += 1
        tried = [(group, pattern(group)) for group in [*proven.values(), *several]]
        whole = WholePass(seen.ports, _removed(tried), made)
        scores = passed(model, example, whole)
        try:
            removal = _remove(model, seen.ports, tried)
        except ValueError as error:
            return str(error)
        try:
            return difference(model, whole, scores, example)
        finally:
            removal.undo()

    def settle(several: Sequence[Group]) -> None:
        if not several:
            return
        if trials >= TRIALS:
            reasons.update({group.root: "too many others had to be tried" for group in several})
            return
        found = problem(several)
        if found is None:
            proven.update({group.root: group for group in several})
        elif len(several) > 1:
            settle(several[: len(several) // 2])
            settle(several[len(several) // 2 :])
        else:
            for changed in _with_numbers(model, several[0]):
                if problem([changed]) is None:
                    proven[changed.root] = changed
                    return
            reasons[several[0].root] = found

    settle(groups)
    return [proven[group.root] for group in groups if group.root in proven], reasons


def _with_numbers(model: nn.Module, group: Group) -> list[Group]:
    """Returns a group with the numbers that the network's own code may keep of it, in several ways to try."""
    tensors = {id(slot.tensor) for member in group.members for slot in member.port.slots}
    owners = [name for name, module in model.named_modules() if tensors & {id(one) for one in module.parameters()}]
    size = group.members[0].port.size
    widths, counts = list[KeptNumber](), list[KeptNumber]()
    for name in owners:  # the modules that hold one of its layers, however deep
        module = model.get_submodule(name)
        if type(module).__module__.startswith("torch.nn."):
            continue
        for attribute, value in vars(module).items():
            if type(value) is int and not attribute.startswith("_") and value > 1:
                if value == size:
                    widths.append(KeptNumber(name, attribute, counts_units=False))
                elif value == group.units:
                    counts.append(KeptNumber(name, attribute, counts_units=True))
    ways = dict.fromkeys(tuple(way) for way in (widths, counts, [*widths, *counts]) if way)
    return [replace(group, numbers=way) for way in ways]


def _left_alone(model: nn.Module, seen: Seen, prunable: set[Key], why: Mapping[Key, str]) -> tuple[LeftAlone, ...]:
    left = []
    used = {id(slot.tensor) for key, port in seen.ports.items() if key not in seen.loose for slot in port.slots}
    inside = {id(part) for one in model.modules() if isinstance(one, nn.MultiheadAttention) for part in one.children()}
    for name, layer in model.named_modules():
        if not isinstance(layer, WEIGHTED) or id(layer) in inside:
            continue
        weight: Tensor | None = layer._parameters.get("weight", layer._parameters.get("weight_ih_l0"))
        key: Key = (id(weight), 1 if isinstance(layer, _ConvNd) and layer.transposed else 0)
        if isinstance(layer, nn.MultiheadAttention):
            weight = layer.out_proj.weight
            key = (id(weight), "width")
        if weight is None or parametrize.is_parametrized(layer):
            left.append(LeftAlone(name, "its weight is computed from other tensors in each pass"))
        elif isinstance(layer, nn.RNNBase):
            left.append(LeftAlone(name, "the state of a recurrent layer keeps its width"))
        elif key not in prunable:
            unused = "it is not used when the network runs" if id(weight) not in used else "it cannot be followed"
            left.append(LeftAlone(name, why.get(key, unused)))
    return tuple(left)
