"""Defines what can be pruned in a network, and what is left as it is."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from trainables.channels.connections import Seen
from trainables.channels.groups import Group
from trainables.pruning.removal import Removal
from trainables.pruning.trials import culprits, problem, remove


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

    def culprits(self, model: nn.Module, units: Mapping[str, Tensor], example: Tensor) -> dict[str, str]:
        """Returns the groups that cannot lose these units, with the reasons, so that the others can lose theirs."""
        with _disable_current_modes():
            found = culprits(model, self.seen, [(self.groups[name], those) for name, those in units.items()], example)
        return {name: found[self.groups[name].root] for name in units if self.groups[name].root in found}

    def layers(self, model: nn.Module, group: str) -> list[str]:
        """Returns the names of the layers whose output channels a group holds."""
        makers = [member.port for member in self.groups[group].members if member.makes]
        made = {id(slot.tensor) for port in makers for slot in port.slots}
        held = {name: one for name, one in model.named_parameters(remove_duplicate=False) if id(one) in made}
        return list(dict.fromkeys(name.rpartition(".")[0] or name for name in held))
