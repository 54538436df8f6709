"""Structured channel pruning: channels leave the network physically, so compute falls with them."""

import copy
from typing import Any

import torch
import torch_pruning as tp
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.cost import forward_flops
from trainables.models import classifier, frozen
from trainables.recipe import ChannelPruning

MOST = 0.95  # share of a layer's channels that may go
BISECTIONS = 10  # halvings of the channel ratio's range: to 0.1%, below one channel of most layers


def prune_channels(model: nn.Module, pruning: ChannelPruning, x: Tensor, y: Tensor, *, seed: int) -> None:
    """Remove channels in place (torch-pruning's dependency graph, arXiv 2301.12900).

    Args:
        model: the network, in any mode; the mode is kept.
        pruning: ratio of channels or of MACs, importance and scope.
        x: images (n, channels, height, width), n ≥ 1, whose loss Taylor importance is about.
        y: labels (n,).
        seed: of random importance.
    """
    if pruning.importance == "taylor":
        _accumulate_gradients(model, x, y)
    ratio = pruning.pruning_ratio
    if ratio is None:
        ratio = _channel_ratio(model, pruning, x[:1], seed)
    _remove(model, pruning, ratio, x[:1], seed)
    for parameter in model.parameters():
        parameter.grad = None


def _channel_ratio(model: nn.Module, pruning: ChannelPruning, example: Tensor, seed: int) -> float:
    """The smallest channel ratio, by bisection, that leaves no more than the wanted share of MACs; at most MOST."""
    assert pruning.mac_ratio is not None
    wanted = pruning.mac_ratio * forward_flops(model, example)
    low, high = 0.0, MOST
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        pruned = copy.deepcopy(model)
        for one, other in zip(pruned.parameters(), model.parameters(), strict=True):
            one.grad = None if other.grad is None else other.grad.clone()
        _remove(pruned, pruning, middle, example, seed)
        low, high = (low, middle) if forward_flops(pruned, example) <= wanted else (middle, high)
    return high


def _remove(model: nn.Module, pruning: ChannelPruning, ratio: float, example: Tensor, seed: int) -> None:
    modes = [(module, module.training) for module in model.modules()]
    with torch.random.fork_rng(devices=[]):  # random importance draws on the CPU
        torch.manual_seed(seed)
        pruner = tp.pruner.BasePruner(
            model.eval(),
            example,
            importance=_importance(pruning),
            global_pruning=pruning.scope == "global",
            pruning_ratio=ratio,
            max_pruning_ratio=MOST,
            ignored_layers=[classifier(model)],
            # Fresh containers each time: torch-pruning 1.6.1 mutates its defaults, which would leak between trials.
            in_channel_groups={},
            out_channel_groups={},
            num_heads={},
            channel_groups={},
        )
        pruner.step()
    for module, training in modes:
        module.training = training
    model.to(memory_format=torch.channels_last)


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
