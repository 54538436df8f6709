"""Keeps the models and the frontier of a search, and tells what candidates are expected to gain."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile

import numpy as np

from analysis.pareto.dominance import non_dominated
from analysis.run.trials import Estimates
from search.events import Outcome
from search.gain.axes import SCORE, Axis, axes_of, costs_of
from search.gain.expected_improvement import expected_improvement
from search.gain.known_proposal import KnownProposal, final_observation
from search.gain.pending import DRAWS, drawn, normal_numbers
from search.gain.reference_point import ReferencePointTracker
from search.gain.undominated import Undominated
from search.study.constraints import Bound, eligible
from search.study.study import Study
from search.surrogate.gaussian_process import (
    FITTED,
    Array,
    GaussianProcess,
    Observation,
    newest_and_spread,
    spread_evenly,
)
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class _Known:
    """The model of one objective, what it is conditioned on, and the sign that makes a cost of its predictions."""

    model: GaussianProcess
    seen: list[Observation]
    sign: float


Rows = Callable[[KnownProposal], list[Observation]]


class ExpectedGain:
    """What is known of a search's proposals, and what candidates are expected to gain beside them.

    Objectives that follow from a recipe are planned; each other one, and each constraint, has a Gaussian process of its
    own. Proposals that run are drawn, so that others are sought where those leave something to be gained.

    Attributes:
        axes: the study's objectives as costs.
        known: what was proposed, by recipe, in that order.
        ended: those that ended, but for those that infrastructure ended (FAIL), in that order.
    """

    def __init__(self, study: Study, corner: ReferencePointTracker, past: Mapping[str, Sequence[Observation]]) -> None:
        """Start without proposals.

        Args:
            study: the study.
            corner: tells the reference point.
            past: observations of earlier runs, by the metric of their axis.
        """
        self.axes = axes_of(study)
        self.known: dict[Recipe, KnownProposal] = {}
        self.ended: list[KnownProposal] = []
        self._study, self._corner, self._past = study, corner, past
        self._fitted: dict[str, tuple[int, GaussianProcess]] = {}
        self._settled: dict[str, tuple[int, list[Observation]]] = {}
        self._front: list[KnownProposal] = []  # the frontier of the first `_compared` that ended
        self._compared = 0
        self._over = 0  # so many of the first proposals have ended

    def end(self, known: KnownProposal, outcome: Outcome) -> None:
        """Note how a proposal ended."""
        known.outcome = outcome
        if known.metrics:
            known.costs = costs_of(self.axes, known.metrics)
        known.seen = self._scores(known)
        if outcome.state is not State.FAIL:
            self.ended.append(known)

    @property
    def knows_enough(self) -> bool:
        """Whether so much has ended that models can be fitted."""
        return len(self.ended) + len(self._past.get(SCORE, ())) >= self._startup

    @property
    def _startup(self) -> int:
        return max(2, self._study.sampler.startup_trials)

    def front(self, base: Mapping[str, float]) -> list[KnownProposal]:
        """Return the non-dominated proposals that finished and may be on the frontier, cheapest first.

        Of equal ones the first is kept. What is dominated stays so, since the base's numbers do not change, so only
        the newest ones are compared.
        """
        new = [
            one
            for one in self.ended[self._compared :]
            if one.metrics and eligible(self._study.constraints, one.metrics, base)
        ]
        self._compared = len(self.ended)
        if new:
            several = sorted([*self._front, *new], key=lambda one: (one.costs[1], *one.costs))
            points = np.array([one.costs for one in several])
            kept = non_dominated(points)
            _, first = np.unique(points, axis=0, return_index=True)
            self._front = [several[place] for place in sorted(first) if kept[place]]
        return self._front

    def of(
        self, features: Sequence[Mapping[str, float]], costs: Array, base: Mapping[str, float]
    ) -> tuple[Array, float] | None:
        """Return what each candidate is expected to gain, times its probability of feasibility.

        Args:
            features: coordinates of each candidate in the space.
            costs: `(candidates, axes)` its objectives as costs, NaN for those that are modelled.
            base: final numbers of the ordinary base.

        Returns:
            `(candidates,)` expected gains and the hypervolume that was found so far, both in accuracy × decades; None:
            too little is known for a model, or for the reference point.
        """
        corner = self._corner.corner(self.axes, base) if self.knows_enough else None
        if corner is None:
            return None
        left = Undominated(corner)
        left.add(one.costs for one in self.front(base))
        found, running = left.dominated(), self._running()
        gains = self._beside(running, features, costs, left) if running else self._alone(features, costs, left)
        if gains is None:
            return None
        for bound in self._study.constraints:
            gains *= self._probability_of_feasibility(bound, features, base)
        return gains, found

    def _running(self) -> list[KnownProposal]:
        """Return the proposals that run; of the first ones, which have all ended, none is looked at again."""
        later = list(islice(self.known.values(), self._over, None))
        self._over += sum(1 for _ in takewhile(lambda one: one.outcome is not None, later))
        return [one for one in later if one.outcome is None]

    def estimates(self) -> Estimates:
        """Return the model's mean and standard deviation of the final score of each proposal that finished."""
        finished = [one for one in self.ended if one.metrics]
        past = self._past.get(SCORE, ())
        model = self._model(SCORE, self._scores, past) if self.knows_enough and finished else None
        if model is None:
            return {}
        ranked = sorted(self.known.values(), key=lambda one: one.metrics.get(SCORE, 0.0))  # the last are all kept
        seen = [*past, *(row for known in ranked for row in self._scores(known))]
        mean, deviation = model.predict(newest_and_spread(seen), [one.features for one in finished])
        return {
            one.recipe.id: {SCORE: float(np.clip(score, 0, 1)), f"{SCORE}_stderr": float(error)}
            for one, score, error in zip(finished, mean, deviation, strict=True)
        }

    def _alone(self, features: Sequence[Mapping[str, float]], costs: Array, left: Undominated) -> Array | None:
        """Return the gains of candidates while no proposal runs; None: too little is known."""
        mean, deviation = costs.copy(), np.zeros_like(costs)
        for place, axis in self._modelled:
            known = self._known_of(axis)
            if known is None:
                return None
            predicted, deviation[:, place] = known.model.predict(known.seen, features)
            mean[:, place] = known.sign * predicted
        return expected_improvement(mean, deviation, left)

    def _beside(
        self,
        running: Sequence[KnownProposal],
        features: Sequence[Mapping[str, float]],
        costs: Array,
        left: Undominated,
    ) -> Array | None:
        """Return the gains of candidates beside proposals that run: the mean over draws of what those come to."""
        theirs = np.tile([one.costs for one in running], (DRAWS, 1, 1))
        mean, deviation = np.tile(costs, (DRAWS, 1, 1)), np.zeros_like(costs)
        numbers = np.split(normal_numbers(len(self._modelled) * len(running)), len(self._modelled), axis=1)
        everyone = [*features, *(one.features for one in running)]
        for (place, axis), own in zip(self._modelled, numbers, strict=True):
            known = self._known_of(axis)
            if known is None:
                return None
            predicted, covariance = known.model.predict_jointly(known.seen, everyone)
            pending = drawn(known.sign * predicted, covariance, len(running), own)
            theirs[:, :, place], mean[:, :, place] = pending.running, pending.mean
            deviation[:, place] = pending.deviation
        gains = np.zeros(len(features))
        for points, candidates in zip(theirs, mean, strict=True):
            beside = left.copy()
            beside.add(points)
            gains += expected_improvement(candidates, deviation, beside)
        return gains / DRAWS

    @property
    def _modelled(self) -> list[tuple[int, Axis]]:
        """The axes that are modelled, with their places."""
        return [(place, axis) for place, axis in enumerate(self.axes) if not axis.is_foreseen]

    def _known_of(self, axis: Axis) -> "_Known | None":
        """Return the model of an axis with what it is conditioned on; None: too little is known for one."""
        past = self._past.get(axis.metric, ())
        rows = self._scores if axis.metric == SCORE else self._amounts(axis)
        model = self._model(axis.metric, rows, past)
        if model is None:
            return None
        seen = [*past, *self._observed(axis.metric, rows)]
        return _Known(model, newest_and_spread(seen), -1.0 if axis.metric == SCORE else 1.0)

    def _observed(self, name: str, rows: Rows) -> list[Observation]:
        """Return the observations of all proposals, in their order.

        Those of the first proposals, up to the first that runs, are kept, since they do not change any more.
        """
        count, kept = self._settled.get(name, (0, []))
        later: list[Observation] = []
        proposals = islice(self.known.values(), count, None)
        for known in proposals:
            if known.outcome is None:
                later = [*rows(known), *(row for other in proposals for row in rows(other))]
                break
            kept += rows(known)
            count += 1
        self._settled[name] = count, kept
        return kept + later

    def _scores(self, known: KnownProposal) -> list[Observation]:
        return known.observations(self._study)

    def _amounts(self, axis: Axis) -> Rows:
        """Return what tells the observations of another objective, each by its cost."""

        def rows(known: KnownProposal) -> list[Observation]:
            return [observed(axis, known.features, known.metrics, self._study)] if known.metrics else []

        return rows

    def _probability_of_feasibility(
        self, bound: Bound, features: Sequence[Mapping[str, float]], base: Mapping[str, float]
    ) -> Array:
        """Return the probability that each candidate satisfies a constraint."""
        from scipy.special import ndtr  # late: it is slow to import

        def rows(known: KnownProposal) -> list[Observation]:
            return [Observation(known.features, 1.0, -bound.violation(known.metrics, base))] if known.metrics else []

        model = self._model(str(bound), rows)
        if model is None:
            return np.ones(len(features))
        seen = [row for known in self.ended for row in rows(known)]
        mean, deviation = model.predict(newest_and_spread(seen), features)
        return np.asarray(ndtr(mean / deviation))

    def _model(self, name: str, rows: Rows, past: Sequence[Observation] = ()) -> GaussianProcess | None:
        """Return a model, fitted anew each time that a fifth more proposals have ended; None if too little is known."""
        count = 0 if past else min(self._startup, len(self.ended))
        while (more := max(count + 1, math.floor(1.2 * count))) <= len(self.ended):
            count = more
        if name not in self._fitted or self._fitted[name][0] != count:
            seen = [*past, *(row for known in self.ended[:count] for row in rows(known))]
            if len(seen) < 2:
                return None
            self._fitted[name] = count, GaussianProcess(spread_evenly(seen, FITTED))
        return self._fitted[name][1]


def observed(axis: Axis, features: Mapping[str, float], metrics: Mapping[str, float], study: Study) -> Observation:
    """Return the observation of a modelled objective: a robust accuracy as it is, any other by its cost."""
    final = final_observation(features, metrics[axis.metric], study)
    if axis.metric == SCORE:
        return final
    return Observation(features, 1.0, axis.cost(metrics[axis.metric]), final.variance if axis.is_accuracy else 0.0)
