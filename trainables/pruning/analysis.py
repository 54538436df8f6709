"""Finds what can be pruned in a network, and says of every other layer why it is left as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize

from trainables.channels.connections import COMPUTED, Seen
from trainables.channels.groups import SCORES, Group, groups_of
from trainables.channels.operators import Key
from trainables.channels.order import layers_backwards
from trainables.channels.probing import probe
from trainables.models.module_sizes import keeps_groups
from trainables.pruning.removal import Removal
from trainables.pruning.trials import problem, remove, settled

WEIGHTED = (_ConvNd, nn.Linear, nn.MultiheadAttention, nn.RNNBase)  # layers that a report speaks of


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
        seen: what the network showed when it was run.
        groups: the groups that can lose units, by the name of their first layer, in the order of `layers_backwards`.
        left_alone: the layers whose output channels stay, by order of definition.
    """

    seen: Seen
    groups: Mapping[str, Group]
    left_alone: tuple[LeftAlone, ...]

    def remove(self, model: nn.Module, units: Mapping[str, Tensor]) -> Removal:
        """Removes these units of these groups from the network that was analysed, until the removal is undone."""
        return remove(model, self.seen.ports, [(self.groups[name], those) for name, those in units.items()])

    def problem(self, model: nn.Module, units: Mapping[str, Tensor], example: Tensor) -> str | None:
        """Returns what removing these units would break, in words; None if the rest of the network stays the same."""
        return problem(model, self.seen, [(self.groups[name], those) for name, those in units.items()], example, {})


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
    proven, doubtful = settled(model, seen, [group for group in groups if not group.fixed], example)
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
    return Prunable(seen, open_groups, _left_alone(model, seen, prunable, why))


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
            left.append(LeftAlone(name, COMPUTED))
        elif isinstance(layer, nn.RNNBase):
            left.append(LeftAlone(name, "the state of a recurrent layer keeps its width"))
        elif key not in prunable:
            unused = "it is not used when the network runs" if id(weight) not in used else "it cannot be followed"
            left.append(LeftAlone(name, why.get(key, unused)))
    return tuple(left)
