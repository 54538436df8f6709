"""Implements channel pruning: channels are taken out of the network's tensors, so that its compute falls."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import _disable_current_modes

from trainables.channels.groups import SCORES
from trainables.compression.compressor import Compressor
from trainables.compression.config import ChannelPruning
from trainables.compute.flops import forward_flops
from trainables.errors import InvalidInput
from trainables.models.build import frozen, to_channels_last
from trainables.pruning.analysis import analyse
from trainables.pruning.choice import CannotPrune, Choice
from trainables.pruning.importance import unit_scores
from trainables.pruning.prunable import Prunable
from trainables.pruning.selection import ranks, totals

MOST = 0.95  # largest channel ratio
BISECTIONS = 10  # halvings of the channel ratio's range, which reach 0.1%: less than one channel of most layers
SEEDS_APART = 1_000_003  # difference of the seeds of two steps, so that steps of recipes with near seeds share no draw


class ChannelPruner(Compressor):
    """Compressor that prunes a network to a ratio in one or several steps.

    Channels are removed in groups that depend on each other, by the importance and the ranking of torch-pruning (arXiv
    2301.12900); `trainables.pruning.analysis` finds the groups, and what cannot be pruned is left as it is.

    Ratios are relative to the network before the first step. That step notes the network's size, and nothing else is
    kept between steps. So after a restart, the first step is taken on the same network again, and training continues
    with the weights of any later step.
    """

    def __init__(self, pruning: ChannelPruning, *, seed: int) -> None:
        """Makes the compressor of one network.

        Args:
            pruning: ratio, importance and scope.
            seed: seed of random importance.
        """
        self.pruning, self._seed = pruning, seed
        self._first: dict[str, int] = {}  # numbers of units before the first step, which the ratio is relative to
        self._flops = 0.0  # FLOPs of one forward pass before the first step
        self._batch = math.inf  # images that share what a pass does once, as FLOPs are counted
        self._left: dict[str, str] = {}  # layer to the reason why the last step left it as it is

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Removes the channels of a step, in place.

        Args:
            number: number of the step, 1 … `pruning.steps`.
            model: the network as the last step left it or as it was trained since, in any mode, which is kept.
            x: images (n, channels, height, width), n ≥ 1; Taylor importance is computed on the first of them.
            y: labels (n,).
        """
        pruning = self.pruning
        model.zero_grad(set_to_none=True)  # removes the gradients of the last batch that it was trained on
        if pruning.importance == "taylor":
            count = pruning.taylor_examples
            _accumulate_gradients(model, x[:count], y[:count])
        prunable = analyse(model, x[:1])
        self._left = {one.layer: one.reason for one in prunable.left_alone if one.reason != SCORES}
        ranked, together = self._ranked(number, prunable), pruning.scope == "global"
        if number == 1:
            self._first = totals(ranked, together=together)
        choice = Choice(model, x[:1], prunable, ranked, self._first, together=together)
        left = (1 - number / pruning.steps) ** 3  # share of all removals that is left for later steps
        try:
            if pruning.pruning_ratio is not None:
                units = choice.units(pruning.pruning_ratio * (1 - left))
            else:
                assert pruning.mac_ratio is not None
                wanted = pruning.mac_ratio + (1 - pruning.mac_ratio) * left
                units = self._units_for_macs(number, model, wanted, x[:1], prunable, choice)
        except CannotPrune as wrong:
            raise InvalidInput(
                f"compression: the network cannot be pruned by {pruning.words()}: {wrong}; take another method"
            ) from wrong
        self._left |= choice.layers_left_alone()
        prunable.remove(model, units)
        model.zero_grad(set_to_none=True)
        to_channels_last(model)

    def left_as_is(self) -> Mapping[str, str]:
        """Returns the layers whose channels the last step could not remove, with the reasons."""
        return self._left

    def _ranked(self, number: int, prunable: Prunable) -> dict[str, Tensor]:
        """Returns the values of what can be removed, by group; groups that hold nothing to measure are left out."""
        # Random importance draws on the CPU. Nothing here has FLOPs, and a counter would slow it down.
        with torch.random.fork_rng(devices=[]), _disable_current_modes():
            torch.manual_seed(self._seed + SEEDS_APART * (number - 1))
            scores = {
                name: found
                for name, group in prunable.groups.items()
                if (found := unit_scores(group, self.pruning.importance)) is not None
            }
            return ranks({name: prunable.groups[name] for name in scores}, scores)

    def _units_for_macs(
        self, number: int, model: nn.Module, mac_ratio: float, example: Tensor, prunable: Prunable, choice: Choice
    ) -> dict[str, Tensor]:
        """Finds the smallest channel ratio, by bisection, that leaves at most this share of the MACs; MOST at most.

        Where none leaves so few, it is the one that leaves the fewest of those that were tried: inside groups that is
        not always the largest, since a group that would lose all of its channels stays whole. Where a group turns out
        to be left alone, more must go of the others, and the ratio is found again.
        """
        if number == 1:
            self._flops = forward_flops(model, example)
            with _disable_current_modes():  # a network that does nothing once can be counted in half the time
                self._batch = 1 if forward_flops(model, example, 1) == self._flops else math.inf
        while True:
            failed = len(choice.failed)
            low, high, tried = 0.0, MOST, dict[float, float]()
            for _ in range(BISECTIONS):
                middle = (low + high) / 2
                tried[middle] = self._flops_without(choice.units(middle), model, example, prunable)
                low, high = (low, middle) if tried[middle] <= mac_ratio * self._flops else (middle, high)
                if len(choice.failed) > failed:
                    break
            if high == MOST:
                tried[MOST] = self._flops_without(choice.units(MOST), model, example, prunable)
                high = min(reversed(tried), key=lambda ratio: tried[ratio])
            units = choice.units(high)
            if len(choice.failed) == failed:
                return units

    def _flops_without(
        self, units: Mapping[str, Tensor], model: nn.Module, example: Tensor, prunable: Prunable
    ) -> float:
        """Returns the FLOPs of a forward pass without the given units of groups; the network is left as it was."""
        removal = prunable.remove(model, units)
        flops = forward_flops(model, example, self._batch)
        removal.undo()
        return flops


def _accumulate_gradients(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Computes the gradients of the mean clean loss, in eval mode so that BatchNorm's statistics do not change."""
    with frozen(model), torch.enable_grad():
        model.requires_grad_(True)
        loss = cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)
        torch.autograd.backward(loss)
