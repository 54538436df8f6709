"""Chooses proposals by what they are expected to gain for what they are known to cost."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from analysis.pareto.hypervolume import reference_point
from analysis.run.trials import State
from analysis.tables.rungs import STOPPED
from search.events import Outcome
from search.recipes.choosers import Draw
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.samplers.acquisition import expected_gains
from search.samplers.gaussian_process import FITTED, USED, Array, Seen, Surrogate
from search.samplers.warm_start import Lesson
from search.study.constraints import Bound, keeps_all
from search.study.study import Study, compute_of
from trainables.recipe.recipe import Recipe

DRAWN = 160  # candidates at random
NEAR = 40  # candidates beside what is on the frontier
SCORE = "robust_accuracy"


@dataclass
class _Known:
    """A proposal: where it lies, what it is known to cost (log10 of FLOPs), and what is known of it.

    Attributes:
        seen: what it teaches, once that does not change any more.
    """

    params: Mapping[str, Any]
    place: Mapping[str, float]
    cost: float
    scores: dict[float, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    seen: list[Seen] | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Final numbers; empty while it runs, or if it has none."""
        return (self.outcome.metrics if self.outcome else None) or {}


class Advisor:
    """Proposes the recipe of the largest expected gain in hypervolume for its compute, out of random candidates.

    Accuracy is modelled; compute is not, since it is known. The gain is divided by compute^a, where a is the share of
    the budget that is left: cheap recipes first, then whatever gains most (cost cooling, arXiv 2003.10870). What runs
    counts as if it had reached what is expected of it, so that others are sought.

    Its state is a function of the record, so it is never saved.
    """

    def __init__(
        self,
        study: Study,
        fixed: FixedRecipes,
        planned: Callable[[Recipe], float],
        learnt: Sequence[Lesson] = (),
    ) -> None:
        """Args:
        study: whose space to propose from.
        fixed: its fixed recipes.
        planned: FLOPs that a recipe will have cost after its whole schedule, as the study counts them.
        learnt: what earlier runs teach: scores of recipes, which may be proposed again.
        """
        self._study, self._fixed, self._planned = study, fixed, planned
        self._known: dict[Recipe, _Known] = {}
        self._ended: list[_Known] = []
        index = study.objectives.index(SCORE)
        self._learnt = [
            Seen(self._place(lesson["params"]), 1.0, lesson["values"][index]) for lesson in learnt if lesson["values"]
        ]
        self._fitted: dict[str, tuple[int, Surrogate]] = {}
        self._leading: list[_Known] = []  # the front of the first so many that ended
        self._compared = 0

    def proposed(self, recipe: Recipe, params: Mapping[str, Any]) -> None:
        """Take note of a proposal."""
        self._known[recipe] = _Known(params, self._place(params), self._cost(recipe))

    def reported(self, recipe: Recipe, row: Mapping[str, Any]) -> None:
        """Take note of an epoch of a proposal."""
        if row.get(SCORE) is not None:
            self._known[recipe].scores[row["epoch"] / recipe.schedule.epochs] = float(row[SCORE])

    def ended(self, recipe: Recipe, outcome: Outcome) -> None:
        """Take note of how a proposal ended; one that was lost teaches nothing."""
        known = self._known[recipe]
        known.outcome = outcome
        if known.metrics:
            known.cost = math.log10(max(1.0, known.metrics[compute_of(self._study)]))
        known.seen = self._seen(known)
        if outcome.state is not State.FAIL:
            self._ended.append(known)

    def choose(
        self,
        seed: int,
        left: float,
        base: Mapping[str, float],
        is_lost: Callable[[Recipe], bool] = lambda recipe: False,
    ) -> dict[str, Any] | None:
        """The parameters of the next proposal.

        Args:
            seed: of this choice.
            left: share of the budget that is left, 0–1.
            base: the ordinary base's final numbers.
            is_lost: whether a recipe can never run.

        Returns:
            None if no candidate is new: the space is exhausted.
        """
        rng = np.random.default_rng(seed)
        front = self._front(base)
        candidates = self._candidates(rng, [one.params for one in front], is_lost)
        if not candidates:
            return None
        costs = np.array([one.cost for one in candidates])
        gains = self._expected(candidates, front, base)
        if gains is None:  # one at random, by 1 / compute^left
            worth = rng.gumbel(size=len(candidates)) / math.log(10) - left * costs
        else:
            worth = np.log10(np.maximum(gains, 1e-300)) - left * costs
        return dict(candidates[int(np.argmax(worth))].params)

    @property
    def _startup(self) -> int:
        return max(2, self._study.sampler.startup_trials)

    def _candidates(
        self, rng: np.random.Generator, best: Sequence[Mapping[str, Any]], is_lost: Callable[[Recipe], bool]
    ) -> list[_Known]:
        """Recipes that were not proposed: at random, and the best with one or two parameters drawn anew."""
        found: dict[Recipe, _Known] = {}
        for number in range(DRAWN + NEAR):
            kept: dict[str, Any] = {}
            if number >= DRAWN and best:
                kept = dict(best[int(rng.integers(len(best)))])
                for name in rng.permutation(sorted(kept))[: int(rng.integers(1, 3))]:
                    del kept[str(name)]
            draw = Draw(rng, kept)
            recipe = propose(draw, self._study, self._fixed)
            if recipe not in self._known and recipe not in found and not is_lost(recipe):
                found[recipe] = _Known(draw.params, draw.place, self._cost(recipe))
        return list(found.values())

    def _expected(self, candidates: list[_Known], front: list[_Known], base: Mapping[str, float]) -> Array | None:
        """What each candidate is expected to gain, None while too little is known; none if it breaks a constraint."""
        if len(self._ended) + len(self._learnt) < self._startup:
            return None
        surrogate = self._surrogate(SCORE, self._seen, self._learnt)
        if surrogate is None:
            return None
        running = [one for one in self._known.values() if one.outcome is None]
        seen = [*self._learnt, *(row for known in self._known.values() for row in self._seen(known))]
        mean, deviation = surrogate.predict(_of_use(seen), [one.place for one in (*candidates, *running)])
        count = len(candidates)
        points = [(one.metrics[SCORE], one.cost) for one in front]
        points += [(score, one.cost) for score, one in zip(mean[count:], running, strict=True)]
        corner = reference_point(base[SCORE], self._planned(self._fixed.reference.recipe))
        if corner is None:
            return None
        gains = expected_gains(
            mean[:count],
            deviation[:count],
            np.array([one.cost for one in candidates]),
            np.array(points).reshape(-1, 2),
            (float(corner[0]), float(corner[1])),
        )
        for bound in self._study.constraints:
            gains *= self._chance(bound, candidates, base)
        return gains

    def _chance(self, bound: Bound, candidates: list[_Known], base: Mapping[str, float]) -> Array:
        """The probability that candidates keep a constraint."""
        from scipy.special import ndtr  # late: it is slow to import

        def rows(known: _Known) -> list[Seen]:
            return [Seen(known.place, 1.0, -bound.violation(known.metrics, base))] if known.metrics else []

        surrogate = self._surrogate(str(bound), rows)
        if surrogate is None:
            return np.ones(len(candidates))
        seen = [row for known in self._ended for row in rows(known)]
        mean, deviation = surrogate.predict(_of_use(seen), [one.place for one in candidates])
        return np.asarray(ndtr(mean / deviation))

    def _surrogate(
        self, name: str, rows: Callable[[_Known], list[Seen]], learnt: Sequence[Seen] = ()
    ) -> Surrogate | None:
        """Fitted to the first that ended: anew each time that a fifth more have. None: too little is known."""
        count = 0 if learnt else min(self._startup, len(self._ended))
        while (more := max(count + 1, math.floor(1.2 * count))) <= len(self._ended):
            count = more
        if name not in self._fitted or self._fitted[name][0] != count:
            seen = [*learnt, *(row for known in self._ended[:count] for row in rows(known))]
            if len(seen) < 2:
                return None
            self._fitted[name] = count, Surrogate(_spread(seen, FITTED))
        return self._fitted[name][1]

    def _seen(self, known: _Known) -> list[Seen]:
        """What a proposal teaches: its score, and where trials are stopped early, the one at the first rung."""
        if known.seen is not None:
            return known.seen
        outcome, early = known.outcome, sorted(share for share in known.scores if share < 1)
        stopped = outcome is not None and (outcome.reason or "").startswith(STOPPED)
        shares = set(early[-1:] if outcome is None or stopped else [])
        if self._study.halving is not None:
            shares |= set([share for share in early if share >= self._study.halving.grace][:1])
        seen = [Seen(known.place, share, known.scores[share]) for share in sorted(shares)]
        if known.metrics:
            seen.append(Seen(known.place, 1.0, known.metrics[SCORE]))
        elif outcome is not None and outcome.state is State.PRUNED and not stopped:
            seen.append(Seen(known.place, 1.0, 0.0))  # it diverged or overfitted: as good as not robust at all
        return seen

    def _front(self, base: Mapping[str, float]) -> list[_Known]:
        """The finished proposals that keep the constraints and that no other one dominates, cheapest first.

        Who is not on it now never will be: the base's numbers do not change.
        """
        front: list[_Known] = []
        for one in sorted(
            [*self._leading, *self._ended[self._compared :]], key=lambda one: (one.cost, -one.metrics.get(SCORE, 0.0))
        ):
            kept = bool(one.metrics) and keeps_all(self._study.constraints, one.metrics, base)
            if kept and (not front or one.metrics[SCORE] > front[-1].metrics[SCORE]):
                front.append(one)
        self._leading, self._compared = front, len(self._ended)
        return front

    def _place(self, params: Mapping[str, Any]) -> Mapping[str, float]:
        draw = Draw(np.random.default_rng(0), params)
        propose(draw, self._study, self._fixed)
        return draw.place

    def _cost(self, recipe: Recipe) -> float:
        return math.log10(max(1.0, self._planned(recipe)))


def _of_use(seen: list[Seen]) -> list[Seen]:
    """At most so many observations: the newest half, and others at equal distances."""
    recent = seen[-USED // 2 :]
    return seen if len(seen) <= USED else [*_spread(seen[: -len(recent)], USED - len(recent)), *recent]


def _spread(seen: list[Seen], count: int) -> list[Seen]:
    """At most so many, at equal distances."""
    if len(seen) <= count:
        return seen
    return [seen[index * len(seen) // count] for index in range(count)]
