"""A schedule of a given compute: it costs all of it but for less than a batch, whatever is trained and how."""

from functools import cache
from typing import Any

import pytest
import torch

from search.recipes.equal_compute import at_compute
from trainables.compute.ledger import Ledger
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.standalone import run
from trainables.recipe.recipe import Recipe
from trainables.training.batches import schedule_images

DATA = {"name": "digits", "train_size": 300, "validation_size": 100}
PLAIN: dict[str, Any] = {"data": DATA, "model": {"name": "small"}, "schedule": {"epochs": 7, "learning_rate": 0.1}}
FAST = {"kind": "n_fgsm", "epsilon": 0.1}
PRUNED = {"method": "channel_pruning", "pruning_ratio": 0.5}
CASES: dict[str, dict[str, Any]] = {
    "fast": {"perturbation": FAST},
    "pgd": {"perturbation": {"kind": "pgd", "epsilon": 0.1, "steps": 7}},
    "free": {"perturbation": {"kind": "fgsm", "epsilon": 0.1}, "loop": {"kind": "free", "replays": 4}},
    "pruned from scratch": {"perturbation": FAST, "compression": PRUNED},
    "from a base": {"perturbation": FAST, "compression": PRUNED, "base": PLAIN},
    "small batches": {"perturbation": FAST, "schedule": {"epochs": 1, "learning_rate": 0.1, "batch_size": 7}},
}


@cache
def splits() -> Splits:
    from trainables.data.config import Data

    return load_splits(Data.model_validate(DATA))


@cache
def planner() -> FlopsPlanner:
    protocol = ScoringProtocol(epsilon=0.1, steps=1, progress_steps=1, examples=10, progress_examples=10)
    return FlopsPlanner(splits(), lambda recipe: run(recipe, protocol, splits(), torch.device("cpu")).trained())


def plan(recipe: Recipe) -> Ledger:
    return planner().plan(recipe)


@pytest.mark.parametrize("flops", [2e10, 3.3e11])
@pytest.mark.parametrize("case", CASES)
def test_it_costs_what_it_may_but_for_less_than_a_batch(case: str, flops: float) -> None:
    recipe = Recipe.model_validate(PLAIN | CASES[case])
    found = at_compute(recipe, flops, plan, 300)
    spent = plan(found).end_to_end
    images = schedule_images(300, found.schedule)
    inherited = plan(recipe.model_copy(update={"schedule": found.schedule})).base
    batch = (spent - inherited) / images * found.schedule.batch_size
    assert flops - 1.05 * batch <= spent <= flops
    assert flops < 1e11 or spent >= 0.98 * flops
    rest = found.model_dump(exclude={"schedule": {"epochs", "last_epoch_steps"}})
    assert rest == recipe.model_dump(exclude={"schedule": {"epochs", "last_epoch_steps"}})


def test_whole_epochs_are_whole_epochs() -> None:
    recipe = Recipe.model_validate(PLAIN | CASES["fast"])
    assert at_compute(recipe, plan(recipe).end_to_end, plan, 300) == recipe


def test_too_little_and_too_much_are_refused_in_words() -> None:
    recipe = Recipe.model_validate(PLAIN | CASES["fast"])
    with pytest.raises(InvalidInput, match="1e\\+06 FLOPs: are not enough for one batch of 64 images"):
        at_compute(recipe, 1e6, plan, 300)
    with pytest.raises(InvalidInput, match="more than 100,000 epochs"):
        at_compute(recipe, 1e18, plan, 300)
