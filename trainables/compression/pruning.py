"""Structured channel pruning: channels leave the network physically, so compute falls with them."""

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

MOST = 0.95  # share of a layer's channels that may go
BISECTIONS = 10  # halvings of the channel ratio's range: to 0.1%, below one channel of most layers
SEEDS_APART = 1_000_003  # between the seeds of two steps, so that the steps of neighbouring seeds share no draw


class ChannelPruner(Compressor):
    """Brings one network to a wanted ratio in one or several steps (torch-pruning's dependency graph, 2301.12900).

    Ratios are of the network before the first step. That step notes how large it is, and nothing else is kept: after a
    restart, take the first step on the same network again, then go on with the weights of any later one.
    """

    def __init__(self, pruning: ChannelPruning, *, seed: int) -> None:
        """Args: ratio, importance and scope; and the seed of random importance."""
        self.pruning, self._seed = pruning, seed
        self._channels: dict[str, int] = {}  # before the first step, by what torch-pruning ranks together
        self._flops = 0.0  # of one forward pass before the first step

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Remove the channels of a step, in place.

        Args:
            number: of the step, 1 … `pruning.steps`.
            model: the network as the step before left it or as it was trained since, in any mode; the mode is kept.
            x: images (n, channels, height, width), n ≥ 1; Taylor importance is about the loss of the first ones.
            y: labels (n,).
        """
        pruning = self.pruning
        model.zero_grad(set_to_none=True)  # of the last batch that it was trained on
        if pruning.importance == "taylor":
            count = pruning.taylor_examples
            _accumulate_gradients(model, x[:count], y[:count])
        left = (1 - number / pruning.steps) ** 3  # of what the last step will have removed
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
        """The smallest channel ratio, by bisection, that leaves no more than this share of the MACs; at most MOST."""
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
        """Cut a network to a channel ratio; returns the channels that the ratio is of."""
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
                # Fresh containers each time: torch-pruning 1.6.1 mutates its defaults, which would leak between trials.
                in_channel_groups={},
                out_channel_groups={},
                num_heads={},
                channel_groups={},
            )
            # Ratios are of these; it fills them in at its first step, and keeps them in one pruner for all steps. Ours
            # does not outlive a restart. A ratio of what is left would do too, but for rounding in each step.
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
    """Leave the gradient of the mean clean loss in each parameter; eval mode, so that BatchNorm's statistics stay."""
    with frozen(model), torch.enable_grad():
        model.requires_grad_(True)
        loss = cross_entropy(model(x.contiguous(memory_format=torch.channels_last)), y)
        torch.autograd.backward(loss)
