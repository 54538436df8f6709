"""Tells what a proposal costs, in the currency of the budget."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from search.study.algorithms import Currency
from search.surrogate.gaussian_process import Array


@dataclass(frozen=True)
class Limits:
    """The limited budgets of a search: proposals, FLOPs, and seconds of its workers.

    Attributes:
        whole: the amount that each had at first, or when it was last extended.
        left: the amount of each that is left.
    """

    whole: Mapping[Currency, float]
    left: Mapping[Currency, float]

    @property
    def share_left(self) -> float:
        """The share that is left of the budget that has been used up the most, 0–1."""
        return max(0.0, min(self.left[name] / self.whole[name] for name in self.whole))

    def prices(self, flops: Array, seconds: Array | None) -> Array:
        """Return what proposals cost: the largest share that each takes of what is left of any budget.

        So a proposal costs what it takes of the budget that others like it would use up first. Where trials alone are
        limited, all cost the same.

        Args:
            flops: `(proposals,)` FLOPs of each.
            seconds: the time that it keeps a worker busy; None: unknown, then FLOPs stand for it.

        Returns:
            `(proposals,)`, above 0, up to a common factor where seconds are wanted and not known.
        """
        if "hours" in self.left and seconds is None:
            return flops
        return _largest_share(self.left, flops, seconds)

    def shares(self, flops: Array, seconds: Array | None) -> Array:
        """Return the largest share that each proposal takes of any whole budget, but for one that is not known.

        Arguments as in `prices`.
        """
        return _largest_share(self.whole, flops, seconds)


def _largest_share(amounts: Mapping[Currency, float], flops: Array, seconds: Array | None) -> Array:
    taken: dict[Currency, Array | None] = {"trials": np.ones(len(flops)), "flops": flops, "hours": seconds}
    shares = [one / max(amounts[name], 1e-12) for name in amounts if (one := taken[name]) is not None]
    return np.asarray(np.max(shares, axis=0))
