"""What proposals will cost, told to the sampler before they run."""

import math
from bisect import bisect_left
from collections.abc import Callable

from analysis.run.trials import State
from search.events import Listener, Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.study import Study, compute_of
from trainables.checkpoints.trained_model import Trained
from trainables.compression.config import ChannelPruning, Compression, NoCompression
from trainables.data.splits import Splits
from trainables.estimation.flops_planner import Planner
from trainables.recipe.recipe import Recipe

GRID = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # pruning ratios whose networks are counted
OCTAVE = 4  # and so many shares of MACs to keep for each factor of 2


class Costs(Listener):
    """Compute of recipes after their whole schedule, as a study counts it, to within some ten percent.

    Counted on networks, but not on every candidate's: pruning ratios between those of a grid are interpolated, Taylor
    importance is counted as L1, and rounding to bits is left out. Before what a recipe builds on has
    finished, which it hears, a base of another length is counted as the study's own, whose networks cost the same, and
    a teacher as the base, with its own training added.
    """

    def __init__(self, study: Study, fixed: FixedRecipes, splits: Splits, fetch: Callable[[Recipe], Trained]) -> None:
        """Args:
        study: whose recipes to count.
        fixed: its fixed recipes.
        splits: its data.
        fetch: gives a base or teacher that has finished.
        """
        self._study, self._base = study, fixed.base.recipe
        self._planner = Planner(splits, fetch)
        self._finished: set[Recipe] = set()

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.state is State.COMPLETE and proposal.role in ("base", "baseline"):
            self._finished.add(proposal.recipe)

    def __call__(self, recipe: Recipe) -> float:
        """FLOPs: marginal, or end-to-end where that is the study's objective. The study's own base has finished."""
        pruning = recipe.compression
        if not isinstance(pruning, ChannelPruning):
            return self._count(recipe, pruning)
        plain = pruning.model_copy(update={"importance": "l1"}) if pruning.importance == "taylor" else pruning
        if pruning.pruning_ratio is None:
            kept = 2.0 ** (min(-1, round(OCTAVE * math.log2(pruning.mac_ratio or 1.0))) / OCTAVE)
            return self._count(recipe, plain.model_copy(update={"mac_ratio": kept}))
        left = 1 - pruning.pruning_ratio
        above = bisect_left(GRID, pruning.pruning_ratio)
        low, high = (
            self._count(recipe, plain.model_copy(update={"pruning_ratio": ratio}) if ratio else NoCompression())
            for ratio in (GRID[above - 1], GRID[above])
        )
        share = math.log((1 - GRID[above - 1]) / left) / math.log((1 - GRID[above - 1]) / (1 - GRID[above]))
        return float(low ** (1 - share) * high**share)

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
