"""Keeps the hypervolume of a search's proposals up to date while the search runs."""

from collections.abc import Mapping, Sequence
from typing import Self

from analysis.pareto.growth import GrowingHypervolume
from analysis.pareto.reference_point import DEFAULT, ReferencePoint
from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.constraints import Bound, eligible
from search.study.study import Study, compute_of


class Hypervolume(Listener):
    """Computes the hypervolume of the finished proposals that may be on the frontier, after each that ends.

    Its unit is robust accuracy × decades of compute. It is the number that
    `analysis.pareto.growth.hypervolume_history` computes for the finished run.
    """

    def __init__(
        self,
        *,
        base: str,
        reference: str,
        compute: str,
        rule: ReferencePoint = DEFAULT,
        constraints: Sequence[Bound] = (),
    ) -> None:
        """Start without any results.

        Args:
            base: id of the ordinary base.
            reference: id of the baseline that proposals are held against.
            compute: the metric of compute, `train_flops` or `end_to_end_flops`.
            rule: how the reference point follows from the results of base and reference.
            constraints: bounds that a proposal must satisfy to count.
        """
        self._base_id, self._reference_id, self._compute = base, reference, compute
        self._rule, self._constraints = rule, tuple(constraints)
        self._base: Mapping[str, float] | None = None
        self._reference: Mapping[str, float] | None = None
        self._proposals: list[Mapping[str, float]] = []
        self._growing: GrowingHypervolume | None = None
        self._areas: list[float] = []  # after each of the first proposals, as far as that was asked for

    @classmethod
    def of(cls, study: Study, fixed: FixedRecipes) -> Self:
        """Create the hypervolume of a study's search, before anything has ended."""
        return cls(
            base=fixed.base.recipe.id,
            reference=fixed.reference.recipe.id,
            compute=compute_of(study),
            rule=study.reference_point,
            constraints=study.constraints,
        )

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.metrics is None:
            return
        if proposal.role == "proposed":
            self._proposals.append(outcome.metrics)
        elif proposal.recipe.id == self._base_id:
            self._base, self._growing, self._areas = outcome.metrics, None, []
        elif proposal.recipe.id == self._reference_id:
            self._reference, self._growing, self._areas = outcome.metrics, None, []

    @property
    def finished(self) -> int:
        """Number of proposals that have finished, whether or not they satisfy the constraints."""
        return len(self._proposals)

    def of_first(self, count: int) -> float | None:
        """Return the hypervolume of the `count` proposals that finished first.

        None until base and reference have finished, whose numbers make the reference point.
        """
        base, growing = self._base, self._growing or self._begin()
        if base is None or growing is None:
            return None
        for metrics in self._proposals[len(self._areas) :]:
            if eligible(self._constraints, metrics, base):
                growing.add(metrics["robust_accuracy"], metrics[self._compute])
            self._areas.append(growing.area)
        return self._areas[count - 1] if count > 0 else 0.0

    def _begin(self) -> GrowingHypervolume | None:
        """Return the hypervolume of no proposals; None while there is no reference point."""
        base, reference = self._base, self._reference
        if base is None or reference is None:
            return None
        robust = {"reference": reference["robust_accuracy"], "base": base["robust_accuracy"]}
        point = self._rule.point(**robust, compute=reference[self._compute])
        self._growing = None if point is None else GrowingHypervolume(point)
        return self._growing
