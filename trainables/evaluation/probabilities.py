"""Recognises networks that give probabilities, where the scores before the softmax are wanted."""

from torch import Tensor

ROUNDING = 1e-4  # by which the sum of probabilities may miss 1, computed in float32
HALF_ROUNDING = 1e-2  # the same in 16 bits


def looks_like_probabilities(scores: Tensor) -> bool:
    """Returns whether a network's outputs look like probabilities, where scores before the softmax are wanted.

    Cross-entropy applies a softmax by itself. On probabilities its gradient is nearly zero where the network is sure,
    so that training is slow, and attacks seem to fail (gradient masking).

    Args:
        scores: outputs (images, classes), better of many images.

    Returns:
        True if every row lies in [0, 1] and sums to 1. False for fewer than two classes, and without images.
    """
    if scores.ndim != 2 or len(scores) == 0 or scores.shape[1] < 2:
        return False
    wide, rounding = scores.detach().double(), HALF_ROUNDING if scores.element_size() < 4 else ROUNDING
    inside = bool(((wide >= 0) & (wide <= 1)).all())
    return inside and bool(((wide.sum(1) - 1).abs() <= rounding).all())
