"""Structured channel pruning: channels leave the network physically, so compute falls with them."""

import torch
import torch_pruning as tp
from torch import Tensor, nn

from trainables.models import classifier
from trainables.recipe import ChannelPruning


def prune_channels(model: nn.Module, pruning: ChannelPruning, example: Tensor) -> None:
    """Remove channels in place (torch-pruning's dependency graph, arXiv 2301.12900).

    Args:
        model: the network, in any mode; the mode is kept.
        pruning: ratio, importance and scope.
        example: one image, (1, channels, height, width).
    """
    training = model.training
    pruner = tp.pruner.BasePruner(
        model.eval(),
        example,
        importance=tp.importance.GroupMagnitudeImportance(p={"l1": 1, "l2": 2}[pruning.importance]),
        global_pruning=pruning.scope == "global",
        pruning_ratio=pruning.pruning_ratio,
        max_pruning_ratio=0.95,
        ignored_layers=[classifier(model)],
        # Fresh containers each time: torch-pruning 1.6.1 mutates its defaults, which would leak between trials.
        in_channel_groups={},
        out_channel_groups={},
        num_heads={},
        channel_groups={},
    )
    pruner.step()
    for parameter in model.parameters():
        parameter.grad = None
    model.train(training)
    model.to(memory_format=torch.channels_last)
