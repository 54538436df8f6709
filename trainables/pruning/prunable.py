"""Defines what can be pruned in a network, and what is left as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from trainables.channels.connections import Seen
from trainables.channels.groups import Group
from trainables.pruning.removal import Removal
from trainables.pruning.trials import problem, remove


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
        with _disable_current_modes():  # this has no FLOPs, and a counter would slow it down
            return remove(model, self.seen.ports, [(self.groups[name], those) for name, those in units.items()])

    def problem(self, model: nn.Module, units: Mapping[str, Tensor], example: Tensor) -> str | None:
        """Returns what removing these units would break, in words; None if the rest of the network stays the same."""
        removed = [(self.groups[name], those) for name, those in units.items()]
        with _disable_current_modes():
            return problem(model, self.seen, removed, example, {})
