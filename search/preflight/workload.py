"""What a study will compute, planned on networks that nothing was trained for yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from search.recipes.choosers import RandomChooser
from search.recipes.compressor_check import try_user_compressors
from search.recipes.fixed import Fixed, FixedRecipes
from search.recipes.proposals import propose
from search.study.study import Study
from trainables.checkpoints.tensors import pack_model
from trainables.checkpoints.trained_model import TrainedModel, inherited
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits
from trainables.estimation.flops_planner import CPU, FlopsPlanner
from trainables.recipe.recipe import Recipe
from trainables.training.initial_network import initial_network
from trainables.training.train_state import TrainState

SAMPLE = 16  # proposals whose mean stands for all


@dataclass(frozen=True)
class Work:
    """Recipes that cost alike.

    Attributes:
        role: as of the recipes.
        name: of the fixed recipe; empty for proposals.
        recipe: one of them.
        trials: how many there are.
        flops: that a trial trains with, attacks included, ancestors and scoring not: what its own slot computes.
        epochs: of training.
        after: name of the fixed recipe that must finish first; None: at once.
    """

    role: str
    name: str
    recipe: Recipe
    trials: int
    flops: float
    epochs: float
    after: str | None


def workload(study: Study, fixed: FixedRecipes, splits: Splits) -> tuple[Work, ...]:
    """Every fixed recipe, and then the proposals, as the mean of 16 that are drawn at random with the study's seed.

    FLOPs are counted on compressed networks, from untrained weights. Fixed recipes are exact but where channels are
    ranked across layers (`scope` global), which trained weights rank otherwise. What a sampler will prefer, and what
    halving stops, is not foreseen: proposals that learn to be cheap cost less than the mean.

    Raises:
        InvalidInput: a compression method of the user's own does not work on the study's network.
    """
    try_user_compressors(study, splits)
    planning = _Untrained(splits)
    names = {one.recipe.id: one.name for one in fixed}
    alike: dict[object, list[Fixed]] = {}  # seeds of one recipe
    for one in fixed:
        levels = one.recipe.compression, one.recipe.quantization
        alike.setdefault((one.name, *levels) if one.role == "grid" else one.name, []).append(one)
    work = []
    for several in alike.values():
        one = several[0]
        before = one.recipe.separate_teacher or one.recipe.base
        after = names.get(before.id) if before is not None else None
        flops, epochs = planning.own_flops(one.recipe), one.recipe.schedule.epochs
        work.append(Work(one.role, one.name, one.recipe, len(several), flops, epochs, after))
    trials = study.budget.trials
    if not trials:
        return tuple(work)
    rng = np.random.default_rng(study.seed)
    drawn = [propose(RandomChooser(rng), study, fixed) for _ in range(SAMPLE)]
    costs = [planning.own_flops(recipe) for recipe in drawn]
    mean, epochs_of_all = float(np.mean(costs)), float(np.mean([recipe.schedule.epochs for recipe in drawn]))
    middle = drawn[int(np.argsort(costs)[len(costs) // 2])]
    if study.budget.flops is not None:
        trials = min(trials, max(1, round(study.budget.flops / mean))) if mean else trials
    base = fixed.base.name
    return (*work, Work("proposed", "", middle, trials, mean, epochs_of_all, base))


def timed(works: Sequence[Work], reference: str) -> tuple[Recipe, Recipe]:
    """The recipes to time: the reference, and the proposal of middle cost; each from scratch, which costs the same."""
    dense = next(work.recipe for work in works if work.name == reference)
    proposal = next((work.recipe for work in works if work.role == "proposed"), dense)
    return _from_scratch(dense), _from_scratch(proposal)


def _from_scratch(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"base": None, "weights": None, "distillation": None})


class _Untrained:
    """Plans by the networks that recipes would start with, had nothing been trained."""

    def __init__(self, splits: Splits) -> None:
        self._splits, self._images = splits, splits.train.tensors(CPU)
        self._made = cache(self._make)
        self._planner = FlopsPlanner(splits, self._made)

    def own_flops(self, recipe: Recipe) -> float:
        """FLOPs of everything that the recipe's own trial trains."""
        ledger = self._planner.plan(recipe)
        built_on = [one for one in (recipe.base, recipe.separate_teacher) if one is not None]
        before = Ledger()
        before.inherit(inherited(*(self._made(one) for one in built_on), *[None] * (2 - len(built_on))))
        return ledger.end_to_end - before.end_to_end

    def _make(self, recipe: Recipe) -> TrainedModel:
        """A network as its trial would leave it, but for training."""
        base = self._made(recipe.base) if recipe.base is not None else None
        teacher = self._made(recipe.separate_teacher) if recipe.separate_teacher is not None else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            assembled = initial_network(recipe, base, self._splits, self._images[0])
            state = TrainState(recipe, assembled, self._images, Ledger())
            for epoch in range(2, recipe.compressed_from + 1):
                state.prepare(epoch, Ledger())
        before = inherited(base, teacher)
        lineage = {**before, recipe.id: self._planner.plan(recipe).own(before)}
        return TrainedModel(pack_model(state.model), lineage)
