"""Compares paired results of two optimizers: ratios of medians with intervals, exact tests, Holm's correction.

What does not reach a level within the budget is infinite: it counts as above every share of the budget.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.peers.tables.table import Array

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Ratio:
    """Ratio of two medians, with a bootstrap interval.

    Attributes:
        value: the ratio. An upper bound if `is_bound`; infinite if only the first never gets there; NaN if neither.
        low, high: ends of the interval.
        is_bound: whether the second median is above the budget, so that the whole budget stands for it.
    """

    value: float
    low: float
    high: float
    is_bound: bool


def ratio_of_medians(ours: Array, theirs: Array, seed: int = 0) -> Ratio:
    """Return the ratio of the medians of paired shares of a budget, with its bootstrap interval over the pairs.

    A median that is infinite is above the budget: of theirs, the budget itself stands for it, which flatters them. A
    resample in which neither gets there says nothing, so it counts as 0 at the lower end and as infinite at the upper.

    Args:
        ours: `(seeds,)` shares of the budget, infinite where it did not suffice.
        theirs: `(seeds,)` the same.
        seed: of the resamples.
    """
    picks = np.random.default_rng(seed).integers(len(ours), size=(RESAMPLES, len(ours)))
    drawn = _ratio(_median(ours[picks]), _median(theirs[picks]))
    tail = (1 - LEVEL) / 2
    low = np.quantile(np.where(np.isnan(drawn), 0.0, drawn), tail, method="lower")
    high = np.quantile(np.where(np.isnan(drawn), np.inf, drawn), 1 - tail, method="higher")
    value = float(_ratio(_median(ours), _median(theirs)))
    return Ratio(value, float(low), float(high), bool(np.isinf(_median(theirs))))


def _median(values: Array) -> Array:
    """Return the medians over the last axis; that of an even number is infinite if one of the two in the middle is."""
    ordered = np.sort(values, axis=-1)
    count = ordered.shape[-1]
    return np.asarray((ordered[..., (count - 1) // 2] + ordered[..., count // 2]) / 2)


def _ratio(ours: Array, theirs: Array) -> Array:
    never = np.isinf(ours) & np.isinf(theirs)
    return np.where(never, np.nan, ours / np.where(np.isinf(theirs), 1.0, theirs))


def signed_rank_p(ours: Array, theirs: Array) -> float:
    """Return the exact one-sided p-value of Wilcoxon's signed-rank test that ours tend to be larger than theirs.

    It is exact with ties too: the distribution is that of the mid-ranks' signs. Pairs without a difference are left
    out. A pair of which one never got there differs by more than every pair of which both did.

    Args:
        ours: `(seeds,)`; may be infinite.
        theirs: `(seeds,)` the same.
    """
    same = ours == theirs  # also two that never got there
    with np.errstate(invalid="ignore"):
        differences = (ours - theirs)[~same]
    if not len(differences):
        return 1.0
    doubled = _doubled_ranks(np.abs(differences))  # whole numbers, so that sums can be counted
    counts = [1]
    for rank in doubled:
        longer = counts + [0] * rank
        for total, count in enumerate(counts):
            longer[total + rank] += count
        counts = longer
    observed = sum(rank for rank, one in zip(doubled, differences, strict=True) if one > 0)
    return float(sum(counts[observed:]) / 2 ** len(doubled))


def _doubled_ranks(sizes: Array) -> list[int]:
    """Return twice the mid-rank of each number."""
    below = (sizes[:, None] > sizes).sum(axis=1)
    equal = (sizes[:, None] == sizes).sum(axis=1)
    return [int(one) for one in 2 * below + equal + 1]


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Return p-values that Holm's step-down procedure has adjusted for their number.

    The smallest is multiplied by their number, the next by one less, and so on; none falls below a smaller one's.
    """
    adjusted, largest = dict[str, float](), 0.0
    for done, (name, value) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(values) - done) * value))
        adjusted[name] = largest
    return {name: adjusted[name] for name in values}


def lower_bound_of_mean(differences: Sequence[float] | Array) -> float:
    """Return the one-sided 95% lower bound of the mean of paired differences, by Student's t."""
    from scipy.stats import t

    values = np.asarray(differences, dtype=np.float64)
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return float(values.mean()) - float(t.ppf(LEVEL, len(values) - 1)) * error
