"""Plans how many FLOPs a study's recipes will train with, on untrained networks, before anything runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from search.recipes.choosers import RandomChooser
from search.recipes.compressor_check import try_user_compressors
from search.recipes.finite_space import planned_proposals
from search.recipes.fixed import Fixed, FixedRecipes
from search.recipes.proposals import propose
from search.samplers.sampler import considers_compute
from search.study.study import Study
from trainables.checkpoints.tensors import pack_model
from trainables.checkpoints.trained_model import TrainedModel, inherited
from trainables.compression.compressor import Compressors
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits
from trainables.estimation.flops_planner import CPU, FlopsPlanner
from trainables.estimation.speed import passes_a_step
from trainables.recipe.recipe import Recipe
from trainables.training.batches import schedule_steps
from trainables.training.initial_network import initial_network

SAMPLE = 16  # random proposals whose mean stands for all proposals


@dataclass(frozen=True)
class Work:
    """A group of recipes that cost the same: a fixed recipe with all its seeds, or all proposals.

    Attributes:
        role: the recipes' role.
        name: name of the fixed recipe; empty for proposals.
        recipe: one of the recipes.
        trials: number of recipes.
        flops: FLOPs that each trial itself trains with: attacks are included, ancestors and scoring are not.
        epochs: epochs of training of each trial.
        passes: passes of a batch through the network in that training.
        after: name of the fixed recipe that must finish first; None: it can begin at once.
        about: whether the FLOPs are about these, because layers become as wide as trained weights will say.
    """

    role: str
    name: str
    recipe: Recipe
    trials: int
    flops: float
    epochs: float
    passes: float
    after: str | None
    about: bool = False


def workload(study: Study, fixed: FixedRecipes, splits: Splits) -> tuple[Work, ...]:
    """Plan the work of a study: every fixed recipe, then the proposals as the mean of 16 random ones.

    The random proposals are drawn with the study's seed. FLOPs are counted on compressed networks with untrained
    weights. They are exact for fixed recipes, except where channels are ranked across layers (`scope` global), since
    trained weights rank them otherwise. Those of proposals are interpolated between a few networks. A budget of FLOPs
    ends a search whose proposals are drawn at random early, and is spread over all proposals by a sampler that knows
    what they cost. Else the plan does not foresee what a sampler will prefer or what halving will stop: a sampler that
    learns to propose cheap recipes costs less than the mean.

    Raises:
        InvalidInput: a user's compression method does not work on the study's network.
    """
    try_user_compressors(study, splits)
    planning = _Untrained(splits)
    names = {one.recipe.id: one.name for one in fixed}
    alike: dict[object, list[Fixed]] = {}  # the seeds of one recipe together
    for one in fixed:
        levels = one.recipe.compression, one.recipe.quantization
        alike.setdefault((one.name, *levels) if one.role == "grid" else one.name, []).append(one)
    work = []
    for several in alike.values():
        one = several[0]
        before = one.recipe.separate_teacher or one.recipe.base
        after = names.get(before.id) if before is not None else None
        flops, epochs = planning.own_flops(one.recipe), one.recipe.schedule.epochs
        passes = _passes(one.recipe, splits)
        work.append(
            Work(one.role, one.name, one.recipe, len(several), flops, epochs, passes, after, _is_about(one.recipe))
        )
    trials = planned_proposals(study, fixed)
    if not trials:
        return tuple(work)
    rng = np.random.default_rng(study.seed)
    drawn = [propose(RandomChooser(rng), study, fixed) for _ in range(SAMPLE)]
    costs = [planning.rough_flops(recipe) for recipe in drawn]
    mean, epochs_of_all = float(np.mean(costs)), float(np.mean([recipe.schedule.epochs for recipe in drawn]))
    middle = drawn[int(np.argsort(costs)[len(costs) // 2])]
    if study.budget.flops is not None and mean and considers_compute(study):
        mean = min(mean, study.budget.flops / trials)
    elif study.budget.flops is not None and mean:
        trials = min(trials, max(1, round(study.budget.flops / mean)))
    base, passes = fixed.base.name, float(np.mean([_passes(recipe, splits) for recipe in drawn]))
    return (*work, Work("proposed", "", middle, trials, mean, epochs_of_all, passes, base, about=True))


def _passes(recipe: Recipe, splits: Splits) -> float:
    return passes_a_step(recipe) * schedule_steps(len(splits.train), recipe.schedule)


def timed(works: Sequence[Work], reference: str) -> tuple[Recipe, Recipe]:
    """Return the two recipes to time: the reference, and the proposal of middle cost.

    Both are made to train from scratch, which costs the same and needs no trained base.
    """
    dense = next(work.recipe for work in works if work.name == reference)
    proposal = next((work.recipe for work in works if work.role == "proposed"), dense)
    return _from_scratch(dense), _from_scratch(proposal)


def _from_scratch(recipe: Recipe) -> Recipe:
    return recipe.model_copy(update={"base": None, "weights": None, "distillation": None})


def _is_about(recipe: Recipe) -> bool:
    """Return whether the layers of a recipe's network become as wide as weights say that training has yet to make."""
    trained = recipe.base is not None or recipe.compressed_from > 1
    own = trained and any(method.follows_weights() for method in recipe.methods)
    return own or (recipe.base is not None and _is_about(recipe.base))


class _Untrained:
    """Plans FLOPs with the networks that recipes would start with if no training had changed their weights."""

    def __init__(self, splits: Splits) -> None:
        self._splits, self._images = splits, splits.train.tensors(CPU)
        self._made = cache(self._make)
        self._planner = FlopsPlanner(splits, self._made)

    def own_flops(self, recipe: Recipe) -> float:
        """Return the FLOPs of the recipe's own trial, without those of its base and its teacher."""
        ledger = self._planner.plan(recipe)
        built_on = [one for one in (recipe.base, recipe.separate_teacher) if one is not None]
        before = Ledger()
        before.inherit(inherited(*(self._made(one) for one in built_on), *[None] * (2 - len(built_on))))
        return ledger.end_to_end - before.end_to_end

    def rough_flops(self, recipe: Recipe) -> float:
        """Return about the FLOPs of a recipe's own trial, interpolated between a few networks in floating point."""
        parts = recipe.compression.counted_as(roughly=True) or ((recipe.compression, 1.0),)
        plain = recipe.model_copy(update={"quantization": None})
        counted = [(self.own_flops(plain.model_copy(update={"compression": one})), share) for one, share in parts]
        return float(math.prod(flops**share for flops, share in counted))

    def _make(self, recipe: Recipe) -> TrainedModel:
        """Return the network that a recipe's trial would leave, except that it is not trained."""
        base = self._made(recipe.base) if recipe.base is not None else None
        teacher = self._made(recipe.separate_teacher) if recipe.separate_teacher is not None else None
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(recipe.seed)
            model = initial_network(recipe, base, self._splits, self._images[0]).model
            compressors = Compressors(recipe.methods, seed=recipe.seed)
            for epoch in range(1, recipe.compressed_from + 1):
                compressors.step(epoch, model, *self._images)
        before = inherited(base, teacher)
        lineage = {**before, recipe.id: self._planner.plan(recipe).own(before)}
        return TrainedModel(pack_model(model), lineage)
