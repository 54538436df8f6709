"""Orders the classes that a targeted attack aims at: those first that a network is nearest to giving."""

import torch
from torch import Tensor, nn

from trainables.attacks.config import Norm
from trainables.ensemble.objectives import SMALLEST, ascent, targeted_difference, without

CANDIDATES = 3  # times as many classes as are aimed at have their distance measured, those with the largest scores


def nearest_classes(model: nn.Module, x: Tensor, labels: Tensor, count: int, norm: Norm) -> Tensor:
    """Returns the nearest other classes of each image, as local margins tell (arXiv 2407.02240).

    The distance to a class is the lead of the label over it, divided by the dual norm of the lead's gradient: what an
    image would have to move if the network were linear. It is measured for the classes with the largest scores only.

    Args:
        model: the network, in eval mode.
        x: images (n, channels, height, width).
        labels: their labels (n,).
        count: classes of each image.
        norm: norm that distances are measured in.

    Returns:
        (n, count) classes, the nearest first; fewer where the network has fewer others.
    """
    with torch.no_grad():
        scores = model(x).float()
    others = scores.shape[1] - 1
    candidates = without(scores, labels).topk(min(CANDIDATES * count, others), dim=1).indices
    distances = []
    for rank in range(candidates.shape[1]):
        lead, gradient, _ = ascent(model, x, labels, candidates[:, rank], targeted_difference)
        flat = gradient.flatten(1)
        dual = flat.abs().sum(1) if norm == "linf" else flat.square().sum(1).sqrt()
        distances.append(-lead / dual.clamp(min=SMALLEST))
    nearest = torch.stack(distances, 1).argsort(dim=1, stable=True)[:, :count]
    return candidates.gather(1, nearest)


def passes_to_rank(count: int) -> int:
    """Returns how many passes `nearest_classes` makes at most."""
    return 1 + CANDIDATES * count
