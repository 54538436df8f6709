"""What proposals will cost, told to the sampler before they run."""

import math
from collections.abc import Callable

from analysis.trials import State
from search.events import Listener, Outcome, Proposal
from search.recipes import base_recipe
from search.study import Study, compute_of
from trainables.data import Splits
from trainables.ingredients import ChannelPruning
from trainables.planning import Planner
from trainables.recipe import Recipe
from trainables.trained import Trained

STEPS = 4  # shares of MACs to keep are counted at so many values for each factor of 2


class Costs(Listener):
    """Compute of recipes after their whole schedule, as a study counts it.

    Exact once all that a recipe builds on has finished, which it hears. Before that, a base of another length is
    counted as the study's own, whose networks cost the same, and a teacher as the base, with its own training added.
    A share of MACs to keep is rounded, so that not every candidate's network has to be pruned to be counted.
    """

    def __init__(self, study: Study, splits: Splits, fetch: Callable[[Recipe], Trained]) -> None:
        """Args:
        study: whose recipes to count.
        splits: its data.
        fetch: gives a base or teacher that has finished.
        """
        self._study, self._base = study, base_recipe(study)
        self._planner = Planner(splits, fetch)
        self._finished: set[Recipe] = set()

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        if outcome.state is State.COMPLETE and proposal.role in ("base", "baseline"):
            self._finished.add(proposal.recipe)

    def __call__(self, recipe: Recipe) -> float:
        """FLOPs: marginal, or end-to-end where that is the study's objective. The study's own base has finished."""
        counted = self._countable(recipe)
        ledger = self._planner.plan(counted)
        flops = ledger.marginal
        teacher = recipe.separate_teacher
        if teacher is not None and counted.separate_teacher is None:
            flops += self._planner.plan(self._countable(teacher)).marginal
        if compute_of(self._study) == "train_flops":
            return flops
        own, stand_in = recipe.base, counted.base
        longer = own.schedule.epochs / stand_in.schedule.epochs if own and stand_in and own != stand_in else 1.0
        return flops + ledger.base * longer

    def _countable(self, recipe: Recipe) -> Recipe:
        """A recipe that costs the same and builds only on what has finished."""
        changed: dict[str, object] = {}
        if recipe.base is not None and recipe.base not in self._finished:
            changed["base"] = self._base
        teacher = recipe.separate_teacher
        if recipe.distillation is not None and teacher is not None and teacher not in self._finished:
            changed["distillation"] = recipe.distillation.model_copy(update={"teacher": None})
        pruning = recipe.compression
        if isinstance(pruning, ChannelPruning) and pruning.mac_ratio is not None:
            rounded = 2.0 ** (min(-1, round(STEPS * math.log2(pruning.mac_ratio))) / STEPS)
            changed["compression"] = pruning.model_copy(update={"mac_ratio": rounded})
        return recipe.model_copy(update=changed) if changed else recipe
