"""Tests a mean difference by seeds alone, and assumes no distribution: the sign-flip (randomization) test."""

import numpy as np
from numpy.typing import NDArray

MOST_EXACT = 20  # seeds for which all patterns of signs are gone through
DRAWS = 100_000
CLOSE = 1e-12  # by which two sums may differ and count as equal


def sign_flip_p(differences: NDArray[np.float64]) -> float:
    """Return the one-sided p-value that the mean difference is above 0.

    If recipes do not differ, each seed's difference may as well have the other sign. The value is the share of all
    patterns of signs whose mean is at least that of the differences as they are.

    Args:
        differences: `(seeds,)`, one for each seed.

    Raises:
        ValueError: there are none.
    """
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"got {values.shape}, expected one difference for each seed")
    if len(values) <= MOST_EXACT:
        sums = np.zeros(1)
        for value in values:
            sums = np.concatenate([sums + value, sums - value])
    else:
        drawn = np.random.default_rng(0).integers(2, size=(DRAWS, len(values)))
        sums = np.concatenate([[values.sum()], (2.0 * drawn - 1.0) @ values])
    return float((sums >= values.sum() - CLOSE).mean())


def smallest_p(seeds: int) -> float:
    """Return the smallest p-value that the test can give with so many seeds: 2^-seeds."""
    return 0.5**seeds
