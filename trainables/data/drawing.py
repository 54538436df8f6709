"""Draws some images of a split, of each class as many as it has of all: the same ones each time."""

import numpy as np

from trainables.data.splits import Examples

SEED = 20_261_127


def drawn(examples: Examples, count: int | None) -> Examples:
    """Draws images so that each class keeps its share, to a rounding.

    A smaller draw is part of a larger one, so that results on the two can be compared.

    Args:
        examples: the images of a split.
        count: how many; None, or as many as there are: all, in their order.
    """
    labels = examples.labels
    if count is None or count >= len(labels):
        return examples
    shuffled = np.random.default_rng(SEED).permutation(len(labels))
    place = np.empty(len(labels))  # of each image in its class, as a share of the class
    for one in np.unique(labels):
        rows = shuffled[labels[shuffled] == one]
        place[rows] = (np.arange(len(rows)) + 0.5) / len(rows)
    kept = np.sort(np.lexsort((shuffled.argsort(), place))[:count])
    return Examples(np.ascontiguousarray(examples.images[kept]), np.ascontiguousarray(labels[kept]))
