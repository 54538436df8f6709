"""What proposals will cost, told to the sampler before they run."""

import math
from collections.abc import Callable

from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import Compression
from trainables.data.splits import Splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


class CostModel(Listener):
    """Compute of recipes after their whole schedule, as a study counts it, to within some ten percent.

    Counted on networks, but not on every candidate's: a compression method may name others that stand for its own, as
    pruning does, whose ratios are interpolated; and rounding to bits is left out. Before what a recipe builds on has
    finished, which it hears, a base of another length is counted as the study's own, whose networks cost the same, and
    a teacher as the base, with its own training added.
    """

    def __init__(
        self, study: Study, fixed: FixedRecipes, splits: Splits, fetch: Callable[[Recipe], TrainedModel]
    ) -> None:
        """Args:
        study: whose recipes to count.
        fixed: its fixed recipes.
        splits: its data.
        fetch: gives a base or teacher that has finished.
        """
        self._study, self._base = study, fixed.base.recipe
        self._planner = FlopsPlanner(splits, fetch)
        self._finished: set[Recipe] = set()

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.state is State.COMPLETE and proposal.role in ("base", "baseline"):
            self._finished.add(proposal.recipe)

    def __call__(self, recipe: Recipe) -> float:
        """FLOPs: marginal, or end-to-end where that is the study's objective. The study's own base has finished."""
        parts = recipe.compression.counted_as() or ((recipe.compression, 1.0),)
        return float(math.prod(self._count(recipe, compression) ** weight for compression, weight in parts))

    def _count(self, recipe: Recipe, compression: Compression) -> float:
        """The compute of a recipe, compressed in this way instead."""
        changed: dict[str, object] = {"compression": compression, "quantization": None}
        unfinished = recipe.base is not None and recipe.base not in self._finished
        if unfinished:
            changed["base"] = self._base
        teacher = recipe.separate_teacher
        absent = teacher is not None and teacher not in self._finished
        if absent and recipe.distillation is not None:
            changed["distillation"] = recipe.distillation.model_copy(update={"teacher": None})
        ledger = self._planner.plan(recipe.model_copy(update=changed))
        flops = ledger.marginal
        if absent and teacher is not None:
            flops += self._count(teacher, teacher.compression)
        if compute_of(self._study) == "train_flops":
            return flops
        own, counted = recipe.base, self._base
        longer = own.schedule.epochs / counted.schedule.epochs if unfinished and own is not None else 1.0
        return flops + ledger.base * longer
