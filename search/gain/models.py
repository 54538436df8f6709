"""Models what the proposals of a search come to: each objective that is not planned, and each constraint."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from analysis.run.trials import Estimates
from search.gain.axes import SCORE, Axis
from search.gain.proposals_so_far import KnownProposal, ProposalsSoFar, final_observation
from search.study.constraints import Bound
from search.study.study import Study
from search.surrogate.gaussian_process import (
    FITTED,
    Array,
    GaussianProcess,
    Observation,
    newest_and_spread,
    spread_evenly,
)

Rows = Callable[[KnownProposal], list[Observation]]


@dataclass(frozen=True)
class ObjectiveModel:
    """The model of one objective as a cost, with the observations that it predicts from.

    Attributes:
        process: the Gaussian process, of robust accuracy as it is, of any other objective as a cost.
        seen: the observations.
        sign: makes a cost of a prediction.
    """

    process: GaussianProcess
    seen: list[Observation]
    sign: float

    def predict(self, features: Sequence[Mapping[str, float]]) -> tuple[Array, Array]:
        """Return the costs of recipes, means and standard deviations: `(recipes,)` each."""
        mean, deviation = self.process.predict(self.seen, features)
        return self.sign * mean, deviation

    def predict_jointly(self, features: Sequence[Mapping[str, float]]) -> tuple[Array, Array]:
        """Return the costs of recipes, means `(recipes,)` and covariance `(recipes, recipes)`."""
        mean, covariance = self.process.predict_jointly(self.seen, features)
        return self.sign * mean, covariance


class Models:
    """The models of a search. Each is fitted anew from time to time, and predicts from all that was observed."""

    def __init__(self, study: Study, so_far: ProposalsSoFar, past: Mapping[str, Sequence[Observation]]) -> None:
        """Create models that learn from the proposals so far whenever they are asked.

        Args:
            study: the study.
            so_far: its proposals.
            past: observations of earlier runs, by the metric of their axis.
        """
        self._study, self._so_far, self._past = study, so_far, past
        self._fitted: dict[str, tuple[int, GaussianProcess]] = {}  # by how many proposals each was fitted to
        self._settled: dict[str, tuple[int, list[Observation]]] = {}  # of so many first proposals, which have all ended

    @property
    def know_enough(self) -> bool:
        """Whether so much has ended that models can be fitted."""
        return len(self._so_far.ended) + len(self._past.get(SCORE, ())) >= self._startup

    @property
    def _startup(self) -> int:
        return max(2, self._study.sampler.startup_trials)

    def of(self, axis: Axis) -> ObjectiveModel | None:
        """Return the model of an objective; None: too little is known for one."""
        past = self._past.get(axis.metric, ())
        rows = self._scores if axis.metric == SCORE else self._amounts(axis)
        process = self._process(axis.metric, rows, past)
        if process is None:
            return None
        seen = [*past, *self._observed(axis.metric, rows)]
        return ObjectiveModel(process, newest_and_spread(seen), -1.0 if axis.metric == SCORE else 1.0)

    def probability_of_feasibility(
        self, bound: Bound, features: Sequence[Mapping[str, float]], base: Mapping[str, float]
    ) -> Array:
        """Return the probability that each recipe satisfies a constraint, `(recipes,)`; 1 while too little is known.

        Args:
            bound: the constraint.
            features: coordinates of each recipe in the space.
            base: final numbers of the ordinary base.
        """
        from scipy.special import ndtr  # late: it is slow to import

        def rows(known: KnownProposal) -> list[Observation]:
            return [Observation(known.features, 1.0, -bound.violation(known.metrics, base))] if known.metrics else []

        process = self._process(str(bound), rows)
        if process is None:
            return np.ones(len(features))
        seen = [row for known in self._so_far.ended for row in rows(known)]
        mean, deviation = process.predict(newest_and_spread(seen), features)
        return np.asarray(ndtr(mean / deviation))

    def estimates(self) -> Estimates:
        """Return the mean and standard deviation of the final score of each proposal that finished."""
        finished = [one for one in self._so_far.ended if one.metrics]
        past = self._past.get(SCORE, ())
        process = self._process(SCORE, self._scores, past) if self.know_enough and finished else None
        if process is None:
            return {}
        ranked = sorted(self._so_far.known.values(), key=lambda one: one.metrics.get(SCORE, 0.0))  # the last are kept
        seen = [*past, *(row for known in ranked for row in self._scores(known))]
        mean, deviation = process.predict(newest_and_spread(seen), [one.features for one in finished])
        return {
            one.recipe.id: {SCORE: float(np.clip(score, 0, 1)), f"{SCORE}_stderr": float(error)}
            for one, score, error in zip(finished, mean, deviation, strict=True)
        }

    def _scores(self, known: KnownProposal) -> list[Observation]:
        return known.observations(self._study)

    def _amounts(self, axis: Axis) -> Rows:
        """Return what tells the observations of another objective, each by its cost."""

        def rows(known: KnownProposal) -> list[Observation]:
            return [observed(axis, known.features, known.metrics, self._study)] if known.metrics else []

        return rows

    def _observed(self, name: str, rows: Rows) -> list[Observation]:
        """Return the observations of all proposals, in their order.

        Those of the first proposals, up to the first that runs, are kept, since they do not change any more.
        """
        count, kept = self._settled.get(name, (0, []))
        later: list[Observation] = []
        proposals = islice(self._so_far.known.values(), count, None)
        for known in proposals:
            if known.outcome is None:
                later = [*rows(known), *(row for other in proposals for row in rows(other))]
                break
            kept += rows(known)
            count += 1
        self._settled[name] = count, kept
        return kept + later

    def _process(self, name: str, rows: Rows, past: Sequence[Observation] = ()) -> GaussianProcess | None:
        """Return a process, fitted anew each time that a fifth more proposals have ended; None: too little is known."""
        ended = self._so_far.ended
        count = 0 if past else min(self._startup, len(ended))
        while (more := max(count + 1, math.floor(1.2 * count))) <= len(ended):
            count = more
        if name not in self._fitted or self._fitted[name][0] != count:
            seen = [*past, *(row for known in ended[:count] for row in rows(known))]
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
