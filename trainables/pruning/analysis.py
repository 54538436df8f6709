"""Finds what can be pruned in a network, and says of every other layer why it is left as it is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils import parametrize
from torch.utils._python_dispatch import _disable_current_modes

from trainables.channels.connections import COMPUTED, MIXED, Seen
from trainables.channels.groups import SCORES, Group, KeptNumber, groups_of
from trainables.channels.operators import Key
from trainables.channels.order import layers_backwards
from trainables.channels.probing import probe
from trainables.compute.counter import FlopCounter
from trainables.models.module_sizes import keeps_groups
from trainables.pruning.prunable import LeftAlone, Prunable
from trainables.pruning.remembered import architecture, recalled, remember
from trainables.pruning.trials import settled

# The layers that a report speaks of.
WEIGHTED = (_ConvNd, nn.Linear, nn.Bilinear, nn.MultiheadAttention, nn.RNNBase, nn.RNNCellBase)
REMEMBERED = 100  # architectures whose groups are not tried again in one process
_SETTLED: dict[str, dict[str, tuple[KeptNumber, ...] | str]] = {}  # by architecture and group: its numbers, or why not
_WEIGHTS = ("weight", "weight_ih_l0", "weight_ih")  # names of a layer's first weight


def analyse(model: nn.Module, example: Tensor) -> Prunable:
    """Finds the groups of channels that can be removed without changing what the rest of the network means.

    Args:
        model: the network, in any mode; it is left as it was.
        example: one image (1, channels, height, width) on the network's device.
    """
    known = recalled(model, example)
    if known is not None:
        return known
    with FlopCounter() as counter:
        layers = layers_backwards(model, example)
    with _disable_current_modes():  # nothing of what follows has FLOPs, and a counter would slow it down
        prunable = _analysed(model, example, layers)
        remember(model, example, prunable, counter)
    return prunable


def _analysed(model: nn.Module, example: Tensor, layers: Sequence[nn.Module]) -> Prunable:
    """Finds the groups; `layers` are the convolutions and linear layers from the scores backwards."""
    seen = probe(model, example)
    names = _names_of_makers(model, seen, layers)
    fixed: dict[Key, str] = {
        (id(layer.weight), "in"): "each of its groups has one channel"
        for layer in model.modules()
        if isinstance(layer, _ConvNd) and keeps_groups(layer)
    }
    groups = groups_of(seen, names, fixed)
    reasons = {group.root: group.fixed for group in groups if group.fixed}
    doubtful = {names[group.root]: group for group in groups if not group.fixed}
    proven, unproven = _settled_once(model, seen, doubtful, example)
    prunable = {member.port.key for group in proven for member in group.members if member.makes}
    why = _why_not(seen, groups, reasons | unproven)
    return Prunable(seen, {names[group.root]: group for group in proven}, _left_alone(model, seen, prunable, why))


def _names_of_makers(model: nn.Module, seen: Seen, layers: Sequence[nn.Module]) -> dict[Key, str]:
    """Names the ports that make channels, in the order in which their groups are formed.

    A layer has its own name. An operator that is handed a weight, and attention, have that of the module that holds the
    weight, or the weight's where a layer has that name already.
    """
    layer_names = {module: name for name, module in model.named_modules()}
    names: dict[Key, str] = {}
    for layer in layers:
        weight = layer._parameters.get("weight")
        if weight is not None:
            dim = 1 if isinstance(layer, _ConvNd) and layer.transposed else 0
            names.setdefault((id(weight), dim), layer_names[layer])
    weights: dict[object, str] = {id(value): name for name, value in model.named_parameters(remove_duplicate=False)}
    taken = set(names.values())
    for key in seen.makers:
        if key not in names:
            weight_name = weights.get(key[0], f"operator {key[0]}")
            holder = weight_name.rpartition(".")[0]
            names[key] = weight_name if not holder or holder in taken else holder
            taken.add(names[key])
    return names


def _why_not(seen: Seen, groups: Iterable[Group], reasons: Mapping[Key, str]) -> dict[Key, str]:
    """Says of every port that makes channels of a group with a reason why it is left as it is."""
    why: dict[Key, str] = {}
    for group in groups:
        for member in group.members if group.root in reasons else ():
            if member.makes:
                reason = reasons[group.root]
                if reason == SCORES and member.port.size != seen.classes:
                    reason = "its channels reach the scores without another layer between them"
                if reason == MIXED and member.port.size == 1:
                    reason = "it has one channel"
                why.setdefault(member.port.key, reason)
    return why


def _settled_once(
    model: nn.Module, seen: Seen, groups: Mapping[str, Group], example: Tensor
) -> tuple[list[Group], dict[Key, str]]:
    """Divides groups as `settled` does, and remembers it for other networks of the same architecture and sizes."""
    key = architecture(model, example)
    known = _SETTLED.get(key)
    if known is None or known.keys() != groups.keys():
        proven, reasons = settled(model, seen, list(groups.values()), example)
        numbers = {group.root: group.numbers for group in proven}
        known = {name: reasons.get(group.root, numbers.get(group.root, ())) for name, group in groups.items()}
        if len(_SETTLED) >= REMEMBERED:
            del _SETTLED[next(iter(_SETTLED))]
        _SETTLED[key] = known
    return (
        [replace(group, numbers=told) for name, group in groups.items() if not isinstance(told := known[name], str)],
        {group.root: told for name, group in groups.items() if isinstance(told := known[name], str)},
    )


def _left_alone(model: nn.Module, seen: Seen, prunable: set[Key], why: Mapping[Key, str]) -> tuple[LeftAlone, ...]:
    left = []
    used = {id(slot.tensor) for key, port in seen.ports.items() if key not in seen.loose for slot in port.slots}
    inside = {id(part) for one in model.modules() if isinstance(one, nn.MultiheadAttention) for part in one.children()}
    for name, layer in model.named_modules():
        if not isinstance(layer, WEIGHTED) or id(layer) in inside:
            continue
        weight: Tensor | None = next((layer._parameters[one] for one in _WEIGHTS if one in layer._parameters), None)
        key: Key = (id(weight), 1 if isinstance(layer, _ConvNd) and layer.transposed else 0)
        if isinstance(layer, nn.MultiheadAttention):
            weight = layer.out_proj.weight
            key = (id(weight), "width")
        if weight is None or parametrize.is_parametrized(layer):
            left.append(LeftAlone(name, COMPUTED))
        elif isinstance(layer, nn.RNNBase | nn.RNNCellBase):
            left.append(LeftAlone(name, "the state of a recurrent layer keeps its width"))
        elif key not in prunable:
            if id(weight) in used or id(weight) in seen.touched:
                otherwise = "its weight is used in a way that cannot be followed"
            elif weight.is_complex():
                otherwise = "it computes with complex numbers"
            else:
                otherwise = "it is not used when the network runs"
            left.append(LeftAlone(name, why.get(key, otherwise)))
    return tuple(left)
