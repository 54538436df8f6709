"""Chooses units for ratios so that the rest of a network stays the same, and leaves groups alone that prevent it."""

from collections.abc import Mapping

from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from trainables.pruning.prunable import Prunable
from trainables.pruning.selection import EVERYTHING, chosen, kept_whole

WHOLE = "it would lose all of its channels at this ratio"


class CannotPrune(Exception):
    """Says in words why not even a removal without the groups that fail leaves the rest of a network the same."""


class Choice:
    """The choice of the units that are removed from a network in one step.

    Groups are tried beforehand with a few removals. One that cannot lose the very units that are chosen is left alone
    from then on, and others are chosen.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Tensor,
        prunable: Prunable,
        ranked: Mapping[str, Tensor],
        first: Mapping[str, int],
        *,
        together: bool,
    ) -> None:
        """Begins with no group that fails.

        Args:
            model: the network.
            example: one image (1, channels, height, width).
            prunable: what can be pruned in it.
            ranked: what units are worth, as `selection.ranks` returns it.
            first: the numbers that ratios are relative to, as `selection.totals` returned them before the first step.
                A group that is not among them, because it could not be pruned then, stays.
            together: rank across the network.
        """
        self._model, self._example, self._prunable = model, example, prunable
        self._ranked, self._first, self._together = ranked, first, together
        self.failed: dict[str, str] = {}  # the groups that are left alone, with the reasons
        self._whole: list[str] = []  # the groups that would have lost all units in the last choice

    def units(self, ratio: float) -> dict[str, Tensor]:
        """Returns the units that a channel ratio removes, by group. Raises CannotPrune: there is no such removal."""
        while True:
            units = self._chosen(ratio)
            wrong = self._prunable.problem(self._model, units, self._example)
            if wrong is None:
                return units
            found = self._prunable.culprits(self._model, units, self._example)
            if not found:  # the network is another one each time that it runs
                raise CannotPrune(wrong)
            self.failed |= found

    def layers_left_alone(self) -> dict[str, str]:
        """Returns the layers of the groups that failed, or lost nothing in the last choice, with the reasons."""
        return {
            layer: reason
            for group, reason in (*dict.fromkeys(self._whole, WHOLE).items(), *self.failed.items())
            for layer in self._prunable.layers(self._model, group)
        }

    def _chosen(self, ratio: float) -> dict[str, Tensor]:
        first = {name: number for name, number in self._first.items() if name not in self.failed}
        ranked = {name: values for name, values in self._ranked.items() if name in first}
        if self._together:
            first[EVERYTHING] = self._first[EVERYTHING] - sum(self._first.get(name, 0) for name in self.failed)
        self._whole = [] if self._together else kept_whole(ranked, first, ratio)
        with _disable_current_modes():  # this has no FLOPs, and a counter would slow it down
            return chosen(self._prunable.groups, ranked, first, ratio, together=self._together)
