"""Measures the value of each unit of a group, by the formulas of torch-pruning (arXiv 2301.12900)."""

from typing import Literal

import torch
from torch import Tensor

from trainables.channels.groups import Group, Member
from trainables.channels.operators import Slot

Importance = Literal["l1", "l2", "taylor", "random"]


def unit_scores(group: Group, importance: Importance) -> Tensor | None:
    """Returns the value of each of a group's units, on the CPU; the least valuable are removed first.

    A unit is worth the mean, over the layers that its channels run through, of what its entries in their weights are
    worth; the values of a group have a mean of 1, so that groups can be compared, or are all 0.

    Args:
        group: the group.
        importance: l1 or l2: sum of absolute or squared weights; taylor: of |weight × gradient|, with the gradients
            that the parameters hold; random: a number drawn from PyTorch's global generator.

    Returns:
        The values (units,); None if no layer of the group has weights to measure.
    """
    if importance == "random":
        return torch.rand(group.units)
    parts = [(member, values) for member in group.members for values in _values(member, importance)]
    if not parts:
        return None
    total = torch.zeros(group.units, device=parts[0][1].device)
    for member, values in parts:
        units = member.units.to(total.device)
        total.scatter_add_(0, units, values[member.channels.to(values.device)].to(total.device, total.dtype))
    total /= len(parts)
    mean = total.mean()
    return (total / mean if mean > 0 else total).cpu()  # a group that is worth nothing goes first


def _values(member: Member, importance: Importance) -> list[Tensor]:
    """Returns what each channel of a port is worth, once for each of its weights that count."""
    port = member.port
    match port.kind:
        case "batch_norm" if importance != "taylor":
            counted = port.slots[:1]
        case "layer_norm":
            counted = port.slots[:1]
        case "out" | "in":
            counted = port.slots[:1]
        case "attention":
            counted = tuple(slot for slot in port.slots if slot.tensor.dim() == 2)
        case _:
            counted = ()
    return [_of_slot(slot, port.size, importance) for slot in counted]


def _of_slot(slot: Slot, size: int, importance: Importance) -> Tensor:
    weight = slot.tensor.detach()
    if importance == "taylor":
        gradient = slot.tensor.grad
        worth = (weight * (torch.zeros_like(weight) if gradient is None else gradient)).abs()
    else:
        worth = weight.abs() if importance == "l1" else weight.square()
    by_channel = worth.transpose(0, slot.dim).flatten(1).sum(1) if worth.dim() > 1 else worth
    return by_channel.repeat(slot.groups) if slot.groups > 1 else by_channel.reshape(slot.blocks, size).sum(0)
