"""Implements channel pruning: channels are taken out of the network's tensors, so that its compute falls."""

import copy
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.compression.compressor import Compressor
from trainables.compression.config import ChannelPruning
from trainables.compute.flops import forward_flops
from trainables.models.build import classifier, frozen

MOST = 0.95  # largest share of a layer's channels that may be removed
BISECTIONS = 10  # halvings of the channel ratio's range, which reach 0.1%: less than one channel of most layers
SEEDS_APART = 1_000_003  # difference of the seeds of two steps, so that steps of recipes with near seeds share no draw


class ChannelPruner(Compressor):
    """Compressor that prunes a network to a ratio in one or several steps, by torch-pruning (arXiv 2301.12900).

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
        self._channels: dict[str, int] = {}  # channels before the first step, by the groups that torch-pruning ranks
        self._flops = 0.0  # FLOPs of one forward pass before the first step

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
        left = (1 - number / pruning.steps) ** 3  # share of all removals that is left for later steps
        if pruning.pruning_ratio is not None:
            ratio = pruning.pruning_ratio * (1 - left)
        else:
            assert pruning.mac_ratio is not None
            ratio = self._channel_ratio(number, model, pruning.mac_ratio + (1 - pruning.mac_ratio) * left, x[:1])
        channels = self._remove(number, model, ratio, x[:1])
        if number == 1:
            self._channels = channels
        model.zero_grad(set_to_none=True)

    def _channel_ratio(self, number: int, model: nn.Module, mac_ratio: float, example: Tensor) -> float:
        """Finds the smallest channel ratio, by bisection, that leaves at most this share of the MACs; MOST at most."""
        if number == 1:
            self._flops = forward_flops(model, example)
        low, high = 0.0, MOST
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            pruned = copy.deepcopy(model)
            for one, other in zip(pruned.parameters(), model.parameters(), strict=True):
                one.grad = None if other.grad is None else other.grad.clone()
            self._remove(number, pruned, middle, example)
            enough = forward_flops(pruned, example) <= mac_ratio * self._flops
            low, high = (low, middle) if enough else (middle, high)
        return high

    def _remove(self, number: int, model: nn.Module, ratio: float, example: Tensor) -> dict[str, int]:
        """Prunes a network to a channel ratio, and returns the numbers of channels that the ratio is relative to."""
        modes = [(module, module.training) for module in model.modules()]
        with torch.random.fork_rng(devices=[]):  # random importance draws on the CPU
            torch.manual_seed(self._seed + SEEDS_APART * (number - 1))
            pruner = tp.pruner.BasePruner(
                model.eval(),
                example,
                importance=_importance(self.pruning),
                global_pruning=self.pruning.scope == "global",
                pruning_ratio=ratio,
                max_pruning_ratio=MOST,
                ignored_layers=[classifier(model)],
                # New containers are given each time, because torch-pruning 1.6.1 changes its default ones, so that one
                # trial would affect the next.
                in_channel_groups={},
                out_channel_groups={},
                num_heads={},
                channel_groups={},
            )
            # torch-pruning takes ratios relative to these numbers of channels. It notes them in a pruner's first step,
            # and expects one pruner for all steps, which could not be kept over a restart; so they are given to a new
            # pruner here. A ratio relative to the channels left would work too, but be rounded in each step.
            if number > 1:
                pruner._scope_initial_channels.update(self._channels)
            pruner.step()
        for module, training in modes:
            module.training = training
        model.to(memory_format=torch.channels_last)
        return dict(pruner._scope_initial_channels)


def _importance(pruning: ChannelPruning) -> Any:
    match pruning.importance:
        case "l1":
            return tp.importance.GroupMagnitudeImportance(p=1)
        case "l2":
            return tp.importance.GroupMagnitudeImportance(p=2)
        case "taylor":
            return tp.importance.GroupTaylorImportance()
        case "random":
            return tp.importance.RandomImportance()


def _accumulate_gradients(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """Computes the gradients of the mean clean loss, in eval mode so that BatchNorm's statistics do not change."""
    with frozen(model), torch.enable_grad():
        model.requires_grad_(True)
        loss = cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)
        torch.autograd.backward(loss)
