"""Decides on parity and on better, by intervals that hold for several comparisons at once."""

from dataclasses import dataclass
from typing import Literal

from analysis.evidence.crossed import Estimate

Answer = Literal["yes", "no", "undecided"]
TAIL = 0.05  # probability with which any lower bound of all comparisons may be wrong, and any upper one
FEWEST_SEEDS = 3  # two seeds never decide
MOST_SEEDS = 1000  # up to which more seeds are offered


@dataclass(frozen=True)
class Verdict:
    """What a comparison has come to.

    Attributes:
        estimate: the difference, ours minus theirs.
        low, high: its simultaneous one-sided bounds.
        margin: by how much ours may be below theirs at parity.
        parity: whether ours is at parity.
        better: whether ours is better.
        more_seeds: about how many more seeds would decide on parity, in the next look, if all else stays as it was
            found; None: it is decided, or the images alone leave too much open.
        refused: why nothing is decided although it was measured, in words; empty where it is not refused.
    """

    estimate: Estimate
    low: float
    high: float
    margin: float
    parity: Answer
    better: Answer
    more_seeds: int | None
    refused: str = ""


def decide(estimate: Estimate, *, margin: float, comparisons: int = 1, looks: int = 0, refused: str = "") -> Verdict:
    """Decide on parity and on better.

    Parity is yes where the lower bound of the difference is above −margin, and no where the upper one is below. Better
    is yes where the lower bound is above 0, and no where the upper one is at most 0. Each bound may be wrong with a
    probability of 5% divided by the number of comparisons (Bonferroni): all lower bounds hold together with 95%, and so
    do all upper ones. Both sides together, as one interval, hold with 90%.

    Who looks at a result, adds seeds and looks again will find sooner or later what they look for. So each further look
    at the same comparison has half the probability of error of the one before, and all looks together twice the first's
    at most.

    Args:
        estimate: the difference, ours minus theirs, in accuracy.
        margin: in accuracy, ≥ 0.
        comparisons: how many are decided on together.
        looks: how often the same was decided on before, with fewer seeds or other images.
        refused: why nothing can be decided, in words; empty: it can.
    """
    tail = TAIL / comparisons / 2**looks
    low, high = bounds(estimate, tail)
    enough = estimate.seeds >= FEWEST_SEEDS and not refused
    parity = _answer(low > -margin, high < -margin, enough)
    return Verdict(
        estimate=estimate,
        low=low,
        high=high,
        margin=margin,
        parity=parity,
        better=_answer(low > 0, high <= 0, enough),
        more_seeds=_more_seeds(estimate, margin, tail / 2) if parity == "undecided" and not refused else None,
        refused=refused,
    )


def bounds(estimate: Estimate, tail: float, *, least: float = -1.0, most: float = 1.0) -> tuple[float, float]:
    """Return the one-sided lower and upper bounds of a mean over images.

    Each may be wrong with a probability of `tail`. What happens on a share q of all images is not seen at all on n of
    them with probability (1 − q)^n. So no bound is nearer than what images of any distribution allow, 1 − tail^(1/n)
    where all agree: the variances alone would allow it where nearly all do, and then they know little of the others.

    Args:
        estimate: the mean.
        tail: the probability.
        least, most: range of the numbers; that of differences of accuracies if not given.
    """
    half, unseen = estimate.half_width(tail), 1.0 - tail ** (1.0 / estimate.images)
    means = estimate.image_means
    down, up = (unseen if means is None else means.off(tail, end) for end in (least, most))
    return estimate.mean - max(half, down), estimate.mean + max(half, up)


def _answer(yes: bool, no: bool, enough: bool) -> Answer:
    return "undecided" if not enough else "yes" if yes else "no" if no else "undecided"


def _more_seeds(estimate: Estimate, margin: float, tail: float) -> int | None:
    """Return how many more seeds would decide; found by halving, as more seeds only narrow the bounds."""

    def decides(seeds: int) -> bool:
        below, above = bounds(estimate.with_seeds(seeds), tail)
        return below > -margin or above < -margin

    low, high = max(estimate.seeds, FEWEST_SEEDS - 1), MOST_SEEDS
    if not decides(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if decides(middle) else (middle, high)
    return high - estimate.seeds
