"""Draws what proposals that run may come to, so that others are chosen for all that they may leave to be gained."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from search.surrogate.gaussian_process import Array

DRAWS = 16  # joint draws of what runs; a power of two, as Sobol's sequence wants
TRIVIAL = 1e-9  # added to variances, as a share of their mean, so that a covariance can be factored


@dataclass(frozen=True)
class Pending:
    """One objective of candidates, given each of several draws of what the running proposals come to in it.

    Attributes:
        running: `(draws, running)` drawn costs of the running proposals.
        mean: `(draws, candidates)` predicted costs of the candidates, given those.
        deviation: `(candidates,)` standard deviations of the predictions, which are the same whatever was drawn.
    """

    running: Array
    mean: Array
    deviation: Array


def drawn(mean: Array, covariance: Array, running: int, numbers: Array) -> Pending:
    """Draw the running proposals jointly, and condition the candidates on each draw.

    A candidate beside a running proposal is then known to come to about the same, so it gains little wherever that one
    does well, as in a batch that is chosen one after another (arXiv 2006.05078).

    Args:
        mean: `(candidates + running,)` predicted costs.
        covariance: of these predictions, without the noise of a single score.
        running: number of the running proposals, which are the last.
        numbers: `(draws, running)` standard normal.
    """
    own = covariance[-running:, -running:]
    factor = np.linalg.cholesky(own + np.eye(running) * max(TRIVIAL * float(np.trace(own)) / running, 1e-12))
    weights = np.linalg.solve(factor, covariance[-running:, :-running])
    explained = np.square(weights).sum(axis=0)
    return Pending(
        running=mean[-running:] + numbers @ factor.T,
        mean=mean[:-running] + numbers @ weights,
        deviation=np.sqrt(np.maximum(np.diag(covariance)[:-running] - explained, 1e-12)),
    )


@lru_cache(maxsize=16)  # a search asks for a few numbers of columns, often
def normal_numbers(columns: int) -> Array:
    """Return `(DRAWS, columns)` standard normal numbers that are spread evenly, the same each time."""
    from scipy.special import ndtri  # late: they are slow to import
    from scipy.stats.qmc import Sobol

    numbers = np.asarray(ndtri(Sobol(columns, rng=np.random.default_rng(0)).random(DRAWS)))
    numbers.flags.writeable = False
    return numbers
