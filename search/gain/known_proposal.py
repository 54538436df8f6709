"""Holds what the cost-aware sampler knows of one proposal, and what its model learns from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from search.events import Outcome
from search.gain.axes import SCORE
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


def final_observation(features: Mapping[str, float], score: float, study: Study) -> Observation:
    """Return the observation of a final score, whose sampling error follows from the number of scored images."""
    images = study.data.validation_size
    scored = min(study.evaluation.examples or images, images)
    return Observation(features, 1.0, score, sampling_variance(score, scored))
