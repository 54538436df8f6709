"""Tells what the model would learn from each recipe, before it has any scores to learn from."""

from collections.abc import Mapping, Sequence

import numpy as np

from search.surrogate.gaussian_process import NOISE, Array, prior_lengths


def information(chosen: Sequence[Mapping[str, float]], features: Sequence[Mapping[str, float]]) -> Array:
    """Compute what the score of each recipe would tell of all others, beyond what those of the chosen ones tell.

    The entropy of a Gaussian process does not depend on the scores, so it is known before there are any. The recipe of
    the most information is the next point of a maximum entropy design (Shewry and Wynn 1987, doi
    10.1080/02664768700000020): it lies far from the chosen ones, mostly at the ends of the ranges, where the effects of
    the parameters and of pairs of them are told apart best.

    Args:
        chosen: coordinates in [0, 1] of the recipes that run or have run; see `search.recipes.choosers`.
        features: those of the recipes to choose from.

    Returns:
        `(recipes,)` in nats, by the medians of the priors of the model's scales.
    """
    from sklearn.gaussian_process.kernels import Matern  # late: it is slow to import

    variance = np.ones(len(features))
    if chosen:
        names = sorted({name for one in [*chosen, *features] for name in one})
        done, open_ = (
            np.array([[one.get(name, 0.5) for name in names] for one in some]) for some in (chosen, features)
        )
        kernel = Matern(prior_lengths(names), nu=2.5)
        across = kernel(open_, done)
        known = np.linalg.solve(kernel(done) + NOISE * np.eye(len(done)), across.T)
        variance = np.maximum(variance - (across.T * known).sum(axis=0), 0.0)
    return np.asarray(np.log1p(variance / NOISE) / 2)
