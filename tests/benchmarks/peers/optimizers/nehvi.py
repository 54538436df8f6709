"""Noisy expected hypervolume improvement (arXiv 2105.08195) on BoTorch's Gaussian process, where cost is known.

BoTorch's own acquisition refuses a cost that is not a model, so the expectation is taken here: over joint samples of
the posterior at what was seen and at the candidates, of the hypervolume that a candidate adds to the sampled frontier.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.benchmarks.peers.optimizers.peer import STARTUP, Left, Peer, Result, Suggestion, Task, seeded
from tests.benchmarks.peers.tables.table import Array

SAMPLES = 64  # of the posterior
CANDIDATES = 512  # that are drawn anew for each suggestion, where a table has more


def undivided(task: Task) -> Peer:
    """Suggests what gains most."""
    return _Nehvi(task, lambda left: 0.0)


def divided(task: Task) -> Peer:
    """Suggests what gains most for its cost^(share of the budget that is left), the rule of Temper's sampler."""
    return _Nehvi(task, lambda left: left)


class _Nehvi:
    def __init__(self, task: Task, power: Callable[[float], float]) -> None:
        self._task, self._power = task, power
        self._rng = np.random.default_rng(task.seed)
        self._left = set(range(len(task.params)))
        self._seen: list[int] = []
        self._scores: list[float] = []
        self._decades: list[float] = []

    def ask(self, left: Left) -> Suggestion:
        candidates = self._candidates()
        costs = self._task.costs.decades()[candidates]
        if len(self._seen) < STARTUP:  # at random, with weights 1 / cost^power
            worth = self._rng.gumbel(size=len(candidates)) / np.log(10)
        else:
            worth = np.log10(np.maximum(self._gains(candidates, costs), 1e-300))
        return Suggestion(self._task.params[candidates[int(np.argmax(worth - self._power(left.share) * costs))]])

    def tell(self, result: Result) -> None:
        self._left.discard(result.entry)
        self._seen.append(result.entry)
        self._scores.append(result.score)
        self._decades.append(result.decades)

    def _candidates(self) -> list[int]:
        left = sorted(self._left)
        if len(left) <= CANDIDATES:
            return left
        return sorted(int(one) for one in self._rng.choice(left, CANDIDATES, replace=False))

    def _gains(self, candidates: list[int], costs: Array) -> Array:
        features = self._task.features
        seed = seeded(self._task) + len(self._seen)
        sampled = posterior_samples(
            features[self._seen], np.array(self._scores), features[[*self._seen, *candidates]], SAMPLES, seed % 2**32
        )
        count = len(self._seen)
        gains = [
            hypervolume_gains(row[count:], costs, row[:count], np.array(self._decades), self._task.point)
            for row in sampled
        ]
        return np.asarray(np.mean(gains, axis=0))


def hypervolume_gains(scores: Array, costs: Array, seen: Array, decades: Array, point: tuple[float, float]) -> Array:
    """Return the hypervolume that each candidate alone would add to a frontier.

    Args:
        scores: `(candidates,)` their scores.
        costs: `(candidates,)` common logarithms of their costs.
        seen: `(recipes,)` scores of the recipes that ran.
        decades: `(recipes,)` common logarithms of their costs.
        point: reference point: the least score, and the common logarithm of the most cost.
    """
    lowest, dearest = point
    inside = (seen > lowest) & (decades < dearest)
    order = np.argsort(-seen[inside], kind="stable")
    levels = np.r_[lowest, seen[inside][order][::-1]]  # growing
    limits = np.r_[np.minimum.accumulate(decades[inside][order])[::-1], dearest]  # the cheapest at least as good
    heights = np.clip(np.minimum(scores[:, None], np.r_[levels[1:], np.inf]) - levels, 0.0, None)
    return np.asarray((heights * np.clip(limits - costs[:, None], 0.0, None)).sum(axis=1))


def posterior_samples(seen: Array, scores: Array, wanted: Array, samples: int, seed: int) -> Array:
    """Draw the latent function's values jointly from BoTorch's default Gaussian process.

    Args:
        seen: `(recipes, features)` in [0, 1].
        scores: `(recipes,)`.
        wanted: `(points, features)`.
        samples: number of draws.
        seed: of the draws.

    Returns:
        `(samples, points)`.
    """
    import torch
    from botorch.exceptions.warnings import BotorchWarning
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms import Standardize
    from botorch.sampling.normal import SobolQMCNormalSampler
    from gpytorch.mlls import ExactMarginalLogLikelihood

    def tensor(values: Array) -> Any:
        return torch.tensor(values, dtype=torch.double)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BotorchWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        model = SingleTaskGP(tensor(seen), tensor(scores)[:, None], outcome_transform=Standardize(m=1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        with torch.no_grad():
            drawn = SobolQMCNormalSampler(torch.Size([samples]), seed=seed)(model.posterior(tensor(wanted)))
    return np.asarray(drawn.squeeze(-1).numpy(), dtype=np.float64)
