"""Tells what candidates are expected to gain in hypervolume beside what was found, and beside what runs."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from search.gain.axes import Axis
from search.gain.expected_improvement import expected_improvement
from search.gain.models import Models
from search.gain.pending import DRAWS, drawn, normal_numbers
from search.gain.proposals_so_far import KnownProposal, ProposalsSoFar
from search.gain.reference_point import ReferencePointTracker
from search.gain.undominated import Undominated
from search.study.study import Study
from search.surrogate.gaussian_process import Array


class Candidates(NamedTuple):
    """Recipes that may be proposed.

    Attributes:
        features: coordinates of each in the space.
        costs: `(candidates, axes)` their objectives as costs, NaN for those that are modelled.
    """

    features: Sequence[Mapping[str, float]]
    costs: Array


class ExpectedGain:
    """Tells what candidates are expected to gain.

    Objectives that follow from a recipe are planned, others are modelled. Proposals that run are drawn, so that others
    are sought where those leave something to be gained.
    """

    def __init__(self, study: Study, corner: ReferencePointTracker, so_far: ProposalsSoFar, models: Models) -> None:
        """Create it over the proposals so far.

        Args:
            study: the study.
            corner: tells the reference point.
            so_far: the search's proposals.
            models: their models.
        """
        self._study, self._corner, self._so_far, self._models = study, corner, so_far, models

    def expected_gains(self, candidates: Candidates, base: Mapping[str, float]) -> tuple[Array, float] | None:
        """Return what each candidate is expected to gain, times its probability of feasibility.

        Args:
            candidates: the candidates.
            base: final numbers of the ordinary base.

        Returns:
            `(candidates,)` expected gains and the hypervolume that was found so far, both in accuracy × decades; None:
            too little is known for a model, or for the reference point.
        """
        corner = self._corner.corner(self._so_far.axes, base) if self._models.know_enough else None
        if corner is None:
            return None
        left = Undominated(corner)
        left.add(one.costs for one in self._so_far.frontier(base))
        found, running = left.dominated(), self._so_far.running()
        gains = self._gains_beside(running, candidates, left) if running else self._gains_alone(candidates, left)
        if gains is None:
            return None
        for bound in self._study.constraints:
            gains *= self._models.probability_of_feasibility(bound, candidates.features, base)
        return gains, found

    def _gains_alone(self, candidates: Candidates, left: Undominated) -> Array | None:
        """Return the gains of candidates while no proposal runs; None: too little is known."""
        mean, deviation = candidates.costs.copy(), np.zeros_like(candidates.costs)
        for place, axis in self._modelled:
            model = self._models.of(axis)
            if model is None:
                return None
            mean[:, place], deviation[:, place] = model.predict(candidates.features)
        return expected_improvement(mean, deviation, left)

    def _gains_beside(
        self, running: Sequence[KnownProposal], candidates: Candidates, left: Undominated
    ) -> Array | None:
        """Return the gains of candidates beside proposals that run: the mean over draws of what those come to."""
        theirs = np.tile([one.costs for one in running], (DRAWS, 1, 1))
        mean, deviation = np.tile(candidates.costs, (DRAWS, 1, 1)), np.zeros_like(candidates.costs)
        numbers = np.split(normal_numbers(len(self._modelled) * len(running)), len(self._modelled), axis=1)
        everyone = [*candidates.features, *(one.features for one in running)]
        for (place, axis), own in zip(self._modelled, numbers, strict=True):
            model = self._models.of(axis)
            if model is None:
                return None
            pending = drawn(*model.predict_jointly(everyone), len(running), own)
            theirs[:, :, place], mean[:, :, place] = pending.running, pending.mean
            deviation[:, place] = pending.deviation
        gains = np.zeros(len(candidates.features))
        for points, costs in zip(theirs, mean, strict=True):
            beside = left.copy()
            beside.add(points)
            gains += expected_improvement(costs, deviation, beside)
        return gains / DRAWS

    @property
    def _modelled(self) -> list[tuple[int, Axis]]:
        """The axes that are modelled, with their places."""
        return [(place, axis) for place, axis in enumerate(self._so_far.axes) if not axis.is_foreseen]
