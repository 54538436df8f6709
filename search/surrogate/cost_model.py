"""Plans how much compute a proposal will cost, so that the sampler can weigh it before the proposal runs."""

import math
import threading
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
    """Computes the FLOPs of a recipe's whole schedule, as its study counts them, to within some ten percent.

    FLOPs are counted on networks, but not on the network of every candidate: a compression method may name other
    networks that stand for its own (pruning interpolates between a few ratios), and quantization is left out. A base or
    a teacher that has not finished has no weights to count with. Such a base, of another length of pretraining, is
    counted as the study's own base, whose network costs the same; such a teacher as the recipe's base, or the study's
    where the recipe has none, with the teacher's own training added. Several threads may ask.
    """

    def __init__(
        self, study: Study, fixed: FixedRecipes, splits: Splits, fetch: Callable[[Recipe], TrainedModel]
    ) -> None:
        """Create a model for the recipes of a study.

        Args:
            study: the study.
            fixed: its fixed recipes.
            splits: its data.
            fetch: returns the trained network of a base or teacher that has finished.
        """
        self._study, self._base = study, fixed.base.recipe
        self._planner = FlopsPlanner(splits, fetch)
        self._finished: set[Recipe] = set()
        self._lock = threading.Lock()  # a planner serves one thread at a time

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.state is State.COMPLETE and proposal.role in ("base", "baseline"):
            self._finished.add(proposal.recipe)

    def __call__(self, recipe: Recipe) -> float:
        """Return a recipe's FLOPs: end-to-end if the study has that objective, else marginal.

        The study's own base must have finished.
        """
        parts = recipe.compression.counted_as() or ((recipe.compression, 1.0),)
        return float(math.prod(self._count(recipe, compression) ** weight for compression, weight in parts))

    def _count(self, recipe: Recipe, compression: Compression) -> float:
        """Return the compute of a recipe if it were compressed by the given method instead of its own."""
        changed: dict[str, object] = {"compression": compression, "quantization": None}
        unfinished = recipe.base is not None and recipe.base not in self._finished
        if unfinished:
            changed["base"] = self._base
        teacher = recipe.separate_teacher
        absent = teacher is not None and teacher not in self._finished
        if absent and recipe.distillation is not None:
            changed["distillation"] = recipe.distillation.model_copy(
                update={"teacher": None if recipe.base is not None else self._base}
            )
        with self._lock:
            ledger = self._planner.plan(recipe.model_copy(update=changed))
        flops = ledger.marginal
        if absent and teacher is not None:
            flops += self._count(teacher, teacher.compression)
        if compute_of(self._study) == "train_flops":
            return flops
        own, counted = recipe.base, self._base
        longer = own.schedule.epochs / counted.schedule.epochs if unfinished and own is not None else 1.0
        return flops + (0.0 if absent and own is None else ledger.base * longer)
