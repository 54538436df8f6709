"""Chooses the units to remove for a ratio, by rank across the network or inside each group."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from trainables.channels.groups import Group, Member
from trainables.channels.operators import Key

LEAST = 0.05  # share of the units of a group that stays, whatever their rank, where groups are ranked together
EVERYTHING = ""  # name of the scope that is the whole network


def ranks(groups: Mapping[str, Group], scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Returns by group the values of what can be removed: of units, or the means of those that parts lose together."""
    return {name: scores[name].view(group.parts, -1).mean(0) for name, group in groups.items()}


def totals(ranked: Mapping[str, Tensor], *, together: bool) -> dict[str, int]:
    """Returns the numbers that ratio and floor are relative to: of each group, and of the whole network if asked."""
    sizes = {name: len(values) for name, values in ranked.items()}
    return {**sizes, EVERYTHING: sum(sizes.values())} if together else sizes


def chosen(
    groups: Mapping[str, Group], ranked: Mapping[str, Tensor], first: Mapping[str, int], ratio: float, *, together: bool
) -> dict[str, Tensor]:
    """Chooses the units to remove.

    Args:
        groups: the groups by name.
        ranked: what `ranks` returned for them.
        first: what `totals` returned before anything was removed, which the ratio is relative to.
        ratio: share to remove. What stays is rounded down in floating point, as in torch-pruning: of 160 at .8, 31.
            A change would train other networks under the ids of older recipes.
        together: rank across the network. At least one unit of each group, and 5%, then stay. Inside groups, a group
            that would lose all stays whole, as in torch-pruning.

    Returns:
        Numbers of the units by group; groups that lose none are left out. A layer that has only some units of a group,
        as one of several whose outputs are concatenated, keeps its most valuable one if the others are all chosen.
    """
    if together:
        # The most valuable of each group are moved out of the ranking, so that no group loses all.
        open_to = {name: _protected(values, first.get(name, len(values))) for name, values in ranked.items()}
        several = torch.cat([torch.zeros(0), *open_to.values()])
        count = len(several) - int(first[EVERYTHING] * (1 - ratio))
        count = min(count, int(several.isfinite().sum()))
        if count <= 0:
            return {}
        gone = torch.zeros(len(several), dtype=torch.bool)
        gone[torch.sort(several, stable=True)[1][:count]] = True  # of equal values, the first
        parts = torch.split(gone, [len(values) for values in open_to.values()])
        lost = {name: part.nonzero().flatten() for name, part in zip(open_to, parts, strict=True)}
    else:
        lost = {}
        for name, values in ranked.items():
            count = len(values) - int(first[name] * (1 - ratio))
            if 0 < count < len(values):
                lost[name] = torch.topk(values, count, largest=False)[1]
    gone_by_group = {name: groups[name].in_all_parts(gone) for name, gone in lost.items() if len(gone)}
    return with_something_left(groups, ranked, gone_by_group)


def kept_whole(ranked: Mapping[str, Tensor], first: Mapping[str, int], ratio: float) -> list[str]:
    """Returns the groups of several units that would lose all of them, and so lose none, inside groups."""
    return [name for name, values in ranked.items() if len(values) > 1 and int(first[name] * (1 - ratio)) == 0]


def _protected(values: Tensor, before: int) -> Tensor:
    least = min(len(values), max(1, math.ceil(LEAST * before - 1e-9)))
    values = values.clone()
    values[torch.topk(values, least)[1]] = torch.inf
    return values


def with_something_left(
    groups: Mapping[str, Group], ranked: Mapping[str, Tensor], lost: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Returns the units that can go without a layer losing all of its channels.

    Args:
        groups: the groups by name.
        ranked: what the units are worth, as in `chosen`.
        lost: the units that should go.
    """
    kept = {name: ~torch.isin(torch.arange(groups[name].units), gone) for name, gone in lost.items()}
    members: dict[Key, list[tuple[str, Member]]] = {}  # by port, with the group that each belongs to
    for name in lost:
        for member in groups[name].members:
            members.setdefault(member.port.key, []).append((name, member))
    for several in members.values():
        removed = sum(int((~kept[name][member.units]).sum()) for name, member in several)
        if removed < several[0][1].port.size:
            continue
        _, name, place = max(_most_valuable(name, member, groups[name], ranked[name]) for name, member in several)
        kept[name][groups[name].in_all_parts(torch.tensor([place]))] = True
    units = {name: (~stays).nonzero().flatten() for name, stays in kept.items()}
    return {name: gone for name, gone in units.items() if len(gone)}


def _most_valuable(name: str, member: Member, group: Group, values: Tensor) -> tuple[float, str, int]:
    """Returns the value of a layer's most valuable unit, the name of its group, and its place in each of its parts."""
    places = member.units % (group.units // group.parts)
    best = int(places[values[places].argmax()])
    return float(values[best]), name, best
