"""Defines what the attacks of the ensemble raise: numbers that are above 0 once a network is wrong, or nearly so.

Each takes scores (n, classes), labels (n,) and the classes aimed at (n,), and returns one number for each image.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Objective = Callable[[Tensor, Tensor, Tensor], Tensor]
SMALLEST = 1e-12  # what a difference of scores is divided by at least


def log_odds(scores: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns the logarithm of the odds against the label; what is aimed at makes no difference.

    Its gradient points where that of the cross-entropy does, but does not vanish where the network is sure.
    """
    return without(scores, labels).logsumexp(1) - of(scores, labels)


def margin(scores: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns the largest score of another class minus the label's (arXiv 1608.04644, objective f6)."""
    return without(scores, labels).amax(1) - of(scores, labels)


def targeted_difference(scores: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns the score of the class aimed at minus the label's."""
    return of(scores, targets) - of(scores, labels)


def targeted_dlr(scores: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Returns the targeted difference-of-logits ratio, which does not depend on the scale of the scores.

    The difference of `targeted_difference`, divided by the largest score minus the mean of the third and the fourth
    (arXiv 2003.01690, equation 7). With fewer than four classes there is no fourth: the difference is not divided.
    """
    difference = targeted_difference(scores, labels, targets)
    if scores.shape[1] < 4:
        return difference
    largest = scores.topk(4, dim=1).values
    return difference / (largest[:, 0] - (largest[:, 2] + largest[:, 3]) / 2).clamp(min=SMALLEST)


def of(scores: Tensor, classes: Tensor) -> Tensor:
    """Returns the score (n,) of one class for each image."""
    return scores.gather(1, classes[:, None])[:, 0]


def without(scores: Tensor, classes: Tensor) -> Tensor:
    """Returns the scores with minus infinity in place of one class for each image."""
    return scores.scatter(1, classes[:, None], -torch.inf)


def ascent(
    model: nn.Module, x: Tensor, labels: Tensor, targets: Tensor, objective: Objective
) -> tuple[Tensor, Tensor, Tensor]:
    """Passes images through a network and back.

    Returns:
        The objective (n,), its gradient (n, channels, height, width) with 0 for NaN, and the scores (n, classes).
    """
    leaf = x.detach().requires_grad_(True)
    scores = model(leaf).float()
    values = objective(scores, labels, targets)
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    return values.detach(), gradient.nan_to_num(), scores.detach()
