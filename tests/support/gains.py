"""Expected gains over robust accuracy and decades of compute, by the product's functions for any objectives."""

import numpy as np

from search.gain.expected_improvement import expected_improvement
from search.gain.undominated import Undominated
from search.surrogate.gaussian_process import Array


def gains_in_the_plane(
    mean: Array, deviation: Array, decades: Array, front: Array, reference: tuple[float, float]
) -> Array:
    """What recipes of known compute and predicted accuracy gain.

    Args:
        mean: `(recipes,)` predicted robust accuracy.
        deviation: `(recipes,)` its standard deviation.
        decades: `(recipes,)` log10 of compute.
        front: `(points, 2)` robust accuracy and log10 of compute of what was found.
        reference: the least robust accuracy, and log10 of the most compute.
    """
    left = Undominated(np.array([-reference[0], reference[1]]))
    left.add(front * np.array([-1.0, 1.0]))
    costs, uncertain = np.column_stack([-mean, decades]), np.column_stack([deviation, np.zeros(len(mean))])
    return expected_improvement(costs, uncertain, left)
