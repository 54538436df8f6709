"""Models robust accuracy over recipes by a Gaussian process, to predict the scores of recipes that have not run.

The share of the schedule that was trained is one of its inputs, so it learns from trials that were stopped early too
(multi-fidelity, as in arXiv 1605.07079). The compute of a recipe is known before it runs, so it is not modelled.
"""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float64]
FITTED = 128  # observations that the kernel's scales are fitted to
USED = 256  # observations that a prediction is made from, at most
# Medians of the scales' log-normal priors, of a standard deviation of 1 each, where scores have a variance of 1:
SIGNAL, NOISE = 1.0, 0.1  # variances
JITTER = 1e-10  # least variance of an observation; scikit-learn's own
LENGTH = 1.0  # length scale, as a share of the whole range of a parameter; see `prior_lengths`


@dataclass(frozen=True)
class Observation:
    """The robust accuracy of one recipe after a share of its schedule.

    Attributes:
        features: the recipe's parameters as coordinates in [0, 1], by name; see `search.recipes.choosers`.
        share: share of its schedule that was trained, 0–1.
        score: robust accuracy at that moment, 0–1; after the whole schedule the final score.
        variance: sampling variance of that score, as far as it is known; see `sampling_variance`.
    """

    features: Mapping[str, float]
    share: float
    score: float
    variance: float = 0.0


def sampling_variance(score: float, images: int) -> float:
    """Return the variance of a share of so many images: p (1 - p) / n, with Laplace's p, so that it is never 0."""
    smoothed = (score * images + 1) / (images + 2)
    return smoothed * (1 - smoothed) / images


def prior_lengths(names: Sequence[str]) -> Array:
    """Return the median of the prior of each input's length scale: `(names,)`, where 1 is the input's whole range.

    A choice among k alternatives has an input for each, 0 or 1, by which any two of them lie as far apart as the two of
    another choice. With lengths of 1 recipes of several such choices would tell hardly anything of each other: lengths
    of the many are to be longer (as with the number of inputs in arXiv 2402.02229), here k/2.
    """
    alternatives = Counter(name.partition("=")[0] for name in names)
    return np.array([LENGTH * max(1.0, alternatives[name.partition("=")[0]] / 2) for name in names])


class GaussianProcess:
    """Predicts the final scores of recipes. Predictions depend on the given observations and on nothing else."""

    def __init__(self, scales: Sequence[Observation]) -> None:
        """Fit the kernel's scales to at least two observations."""
        self._names = sorted({name for one in scales for name in one.features})
        self._kernel = _fitted(
            self._inputs([one.features for one in scales], [one.share for one in scales]),
            _scores(scales),
            _relative_variances(scales),
            np.append(prior_lengths(self._names), LENGTH),
        )

    def predict(self, seen: Sequence[Observation], features: Sequence[Mapping[str, float]]) -> tuple[Array, Array]:
        """Predict the final scores of recipes.

        Args:
            seen: the observations to learn from.
            features: the features of each recipe.

        Returns:
            Means and standard deviations, without the noise of a single score: `(recipes,)` each.
        """
        with _one_thread():
            mean, variance = self._given(seen).predict(self._whole(features))
        return mean, np.sqrt(np.maximum(variance - self._noise_of(seen), 1e-12))

    def predict_jointly(
        self, seen: Sequence[Observation], features: Sequence[Mapping[str, float]]
    ) -> tuple[Array, Array]:
        """Predict the same, with the covariance `(recipes, recipes)` of the predictions in place of the deviations."""
        with _one_thread():
            mean, covariance = self._given(seen).predict_jointly(self._whole(features))
        return mean, covariance - self._noise_of(seen) * np.eye(len(features))

    def _given(self, seen: Sequence[Observation]) -> "_Posterior":
        inputs = self._inputs([one.features for one in seen], [one.share for one in seen])
        return _Posterior.of(self._kernel, inputs, _scores(seen), _relative_variances(seen))

    def _whole(self, features: Sequence[Mapping[str, float]]) -> Array:
        return self._inputs(features, [1.0] * len(features))

    def _noise_of(self, seen: Sequence[Observation]) -> float:
        """Return the variance of a single score about its prediction, in the unit of the scores."""
        return self.noise * (float(np.std(_scores(seen))) or 1.0) ** 2

    @property
    def lengths(self) -> dict[str, float]:
        """The kernel's length scale of each input, by its name; 1 is the whole range of that input."""
        lengths = [float(one) for one in self._kernel.k1.k2.length_scale]
        return dict(zip([*self._names, "share"], lengths, strict=True))

    @property
    def noise(self) -> float:
        """The variance of scores about their prediction beside the known one, as a share of that of all scores."""
        return float(self._kernel.k2.noise_level)

    def _inputs(self, features: Sequence[Mapping[str, float]], shares: Sequence[float]) -> Array:
        """Return the inputs `(recipes, names + 1)`; a parameter that a recipe does not have lies in the middle, 0.5."""
        rows = [[one.get(name, 0.5) for name in self._names] for one in features]
        return np.column_stack([np.array(rows).reshape(len(rows), len(self._names)), np.array(shares)])


@dataclass(frozen=True)
class _Posterior:
    """The process given observations. scikit-learn's own computes a likelihood too, for half of a prediction's time.

    Equations 2.23 to 2.26 of Rasmussen and Williams, Gaussian Processes for Machine Learning, by algorithm 2.1 there.

    Attributes:
        kernel: scikit-learn's kernel with its scales.
        inputs: `(observations, inputs)`.
        mean, spread: mean and standard deviation of the scores; the kernel is of scores that are normalized by these.
        factor: `(observations, observations)` Cholesky factor of the covariance of the observations, lower.
        weights: `(observations,)` the inverse of that covariance times the normalized scores.
    """

    kernel: Any
    inputs: Array
    mean: float
    spread: float
    factor: Array
    weights: Array

    @classmethod
    def of(cls, kernel: Any, inputs: Array, scores: Array, variances: Array) -> Self:
        """Condition a process on scores with known variances, which are shares of the variance of all scores."""
        from scipy.linalg import cho_solve, cholesky  # late: it is slow to import

        mean, spread = float(np.mean(scores)), float(np.std(scores)) or 1.0
        covariance = kernel(inputs)
        covariance[np.diag_indices_from(covariance)] += variances
        factor = cholesky(covariance, lower=True, check_finite=False)
        weights = cho_solve((factor, True), (scores - mean) / spread, check_finite=False)
        return cls(kernel, inputs, mean, spread, factor, weights)

    def predict(self, inputs: Array) -> tuple[Array, Array]:
        """Return means and variances at other inputs, `(inputs,)` each."""
        mean, explained = self._explained(inputs)
        variance = self.kernel.diag(inputs) - np.einsum("ij,ji->i", explained.T, explained)
        return mean, np.maximum(variance, 0.0) * self.spread**2

    def predict_jointly(self, inputs: Array) -> tuple[Array, Array]:
        """Return means `(inputs,)` and the covariance `(inputs, inputs)`."""
        mean, explained = self._explained(inputs)
        return mean, (self.kernel(inputs) - explained.T @ explained) * self.spread**2

    def _explained(self, inputs: Array) -> tuple[Array, Array]:
        """Return the means, and what the observations explain: its square is what they take from the covariance."""
        from scipy.linalg import solve_triangular  # late, as above

        across = self.kernel(inputs, self.inputs)
        explained = solve_triangular(self.factor, across.T, lower=True, check_finite=False)
        return self.spread * (across @ self.weights) + self.mean, explained


def _one_thread() -> AbstractContextManager[object]:
    """Limit linear algebra to one thread: matrices are small, and results then do not depend on the number of cores."""
    limited: AbstractContextManager[object] = _libraries().limit(limits=1, user_api="blas")
    return limited


@cache
def _libraries() -> ThreadpoolController:
    return ThreadpoolController()  # finds the libraries that are loaded, so scikit-learn must be imported first


def _scores(seen: Sequence[Observation]) -> Array:
    return np.array([one.score for one in seen])


def _relative_variances(seen: Sequence[Observation]) -> Array:
    """Return the known variances, as shares of the variance of all scores, since the process normalizes those."""
    spread = float(np.var(_scores(seen))) or 1.0
    return np.array([max(one.variance / spread, JITTER) for one in seen])


def _fitted(inputs: Array, scores: Array, variances: Array, lengths: Array) -> Any:
    """Return the kernel with the most probable scales, of largest likelihood times prior, given medians of lengths.

    Scales of largest likelihood alone explain a handful of observations far too well: predictions would be certain,
    and wrong.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    scales = Matern(lengths, (0.1, 20.0), nu=2.5)
    kernel = ConstantKernel(1.0, (0.05, 50.0)) * scales + WhiteKernel(0.05, (1e-4, 1.0))
    with warnings.catch_warnings(), _one_thread():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a scale at its bound is as good as any beyond
        process = GaussianProcessRegressor(kernel, alpha=variances, normalize_y=True, optimizer=_most_probable)
        return process.fit(inputs, scores).kernel_


def _most_probable(
    objective: Callable[[Array], tuple[float, Array]], start: Array, bounds: Array
) -> tuple[Array, float]:
    """Find the scales of largest likelihood times prior, as an optimizer for scikit-learn.

    Args:
        objective: returns minus the logarithm of the likelihood, and its gradient, by the scales' logarithms.
        start: the scales' logarithms: the signal's variance, the median of each input's length, the noise's variance.
        bounds: `(scales, 2)`.

    Returns:
        The logarithms of the scales, and minus that of their density up to a constant.
    """
    from scipy.optimize import minimize

    medians = np.concatenate([[np.log(SIGNAL)], start[1:-1], [np.log(NOISE)]])

    def posterior(scales: Array) -> tuple[float, Array]:
        value, gradient = objective(scales)
        return value + float(np.square(scales - medians).sum()) / 2, gradient + scales - medians

    found = minimize(posterior, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return found.x, float(found.fun)


def newest_and_spread(seen: list[Observation]) -> list[Observation]:
    """Return at most USED observations: the newest for one half, and older ones at equal distances for the other."""
    recent = seen[-USED // 2 :]
    return seen if len(seen) <= USED else [*spread_evenly(seen[: -len(recent)], USED - len(recent)), *recent]


def spread_evenly(seen: list[Observation], count: int) -> list[Observation]:
    """Return at most `count` observations, at equal distances in their order."""
    if len(seen) <= count:
        return seen
    return [seen[index * len(seen) // count] for index in range(count)]
