"""Holds what the cost-aware sampler knows of each proposal, which of them run, and which are on the frontier."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice, takewhile
from typing import Any

import numpy as np

from analysis.pareto.dominance import non_dominated
from search.events import Outcome
from search.gain.axes import SCORE, axes_of, costs_of
from search.study.constraints import eligible
from search.study.study import Study
from search.surrogate.gaussian_process import Array, Observation, sampling_variance
from trainables.evaluation.chance import learnt_nothing
from trainables.execution.ending import EndKind, State
from trainables.recipe.recipe import Recipe


@dataclass
class KnownProposal:
    """A proposal, and what is known of it so far.

    Attributes:
        recipe: its recipe.
        params: its parameters, by name.
        features: its coordinates in the space.
        costs: `(axes,)` its objectives as costs: planned, NaN for those that are modelled; measured once it finished.
        scores: robust accuracy by the share of the schedule after which it was measured.
        outcome: its outcome; None while it runs.
        seen: the observations that the model learns from; None while they can still change.
    """

    recipe: Recipe
    params: Mapping[str, Any]
    features: Mapping[str, float]
    costs: Array
    scores: dict[float, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    seen: list[Observation] | None = None

    @property
    def metrics(self) -> Mapping[str, float]:
        """Final numbers; empty while it runs, or if it has none."""
        return (self.outcome.metrics if self.outcome else None) or {}

    @property
    def is_lost(self) -> bool:
        """Whether infrastructure ended it, so that its score will never be known."""
        return self.outcome is not None and self.outcome.state is State.FAIL

    def observations(self, study: Study) -> list[Observation]:
        """Return its observations: its latest score and, if the study has halving, that at the first rung."""
        if self.seen is not None:
            return self.seen
        outcome, early = self.outcome, sorted(share for share in self.scores if share < 1)
        stopped = outcome is not None and outcome.ending.kind is EndKind.STOPPED
        shares = set(early[-1:] if outcome is None or stopped else [])
        if study.halving is not None:
            shares |= set([share for share in early if share >= study.halving.grace][:1])
        partly = min(study.evaluation.progress_examples, study.data.validation_size)
        seen = [
            Observation(self.features, share, self.scores[share], sampling_variance(self.scores[share], partly))
            for share in sorted(shares)
        ]
        nothing = learnt_nothing(self.metrics) is not None
        if self.metrics and not nothing:
            seen.append(final_observation(self.features, self.metrics[SCORE], study))
        elif nothing or (outcome is not None and outcome.state is State.PRUNED and not stopped):
            # It diverged, overfitted or learnt nothing, which counts as no robustness at all.
            seen.append(Observation(self.features, 1.0, 0.0))
        return seen


class ProposalsSoFar:
    """All proposals of a search so far.

    Attributes:
        axes: the study's objectives as costs.
        known: what was proposed, by recipe, in that order.
        ended: those that ended, but for those that infrastructure ended (FAIL), in that order.
    """

    def __init__(self, study: Study) -> None:
        """Start without proposals."""
        self.axes = axes_of(study)
        self.known: dict[Recipe, KnownProposal] = {}
        self.ended: list[KnownProposal] = []
        self._study = study
        self._frontier: list[KnownProposal] = []  # of the first `_compared` that ended
        self._compared = 0
        self._over = 0  # so many of the first proposals have ended

    def end(self, known: KnownProposal, outcome: Outcome) -> None:
        """Note how a proposal ended."""
        known.outcome = outcome
        if known.metrics:
            known.costs = costs_of(self.axes, known.metrics)
        known.seen = known.observations(self._study)
        if outcome.state is not State.FAIL:
            self.ended.append(known)

    def running(self) -> list[KnownProposal]:
        """Return the proposals that run; of the first ones, which have all ended, none is looked at again."""
        later = list(islice(self.known.values(), self._over, None))
        self._over += sum(1 for _ in takewhile(lambda one: one.outcome is not None, later))
        return [one for one in later if one.outcome is None]

    def frontier(self, base: Mapping[str, float]) -> list[KnownProposal]:
        """Return the non-dominated proposals that finished and may be on the frontier, cheapest first.

        Of equal ones the first is kept. What is dominated stays so, so only those that ended since the last call are
        compared.

        Args:
            base: final numbers of the ordinary base, on which constraints may depend; they do not change.
        """
        new = [
            one
            for one in self.ended[self._compared :]
            if one.metrics and eligible(self._study.constraints, one.metrics, base)
        ]
        self._compared = len(self.ended)
        if new:
            several = sorted([*self._frontier, *new], key=lambda one: (one.costs[1], *one.costs))
            points = np.array([one.costs for one in several])
            kept = non_dominated(points)
            _, first = np.unique(points, axis=0, return_index=True)
            self._frontier = [several[place] for place in sorted(first) if kept[place]]
        return self._frontier


def final_observation(features: Mapping[str, float], score: float, study: Study) -> Observation:
    """Return the observation of a final score, whose sampling error follows from the number of scored images."""
    images = study.data.validation_size
    scored = min(study.evaluation.examples or images, images)
    return Observation(features, 1.0, score, sampling_variance(score, scored))
