"""The table of metrics is complete: every number that a recipe reports is in it, and nothing that none reports."""

import dataclasses
import subprocess
import sys

import pytest
import torch

from trainables.attacks.config import NFGSM, PublishedPGD
from trainables.compute.ledger import Ledger
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.metrics import COMPUTE, METRICS, OBJECTIVES, own_flops
from trainables.execution.pipeline import Pipeline
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

DATA = Data(name="digits", train_size=40, validation_size=20)


@pytest.mark.parametrize("perturbation", [NFGSM(epsilon=0.1), PublishedPGD(epsilon=0.1, steps=1)])
def test_every_number_of_a_recipe_is_in_the_table(perturbation: NFGSM | PublishedPGD) -> None:
    recipe = Recipe(
        data=DATA,
        model=Network(name="small"),
        perturbation=perturbation,
        schedule=Schedule(epochs=1, learning_rate=0.05),
    )
    pipeline = Pipeline(recipe, ScoringProtocol(epsilon=0.1, steps=1), load_splits(DATA), None, torch.device("cpu"))
    row = pipeline.step()
    assert set(row) == {one.name for one in METRICS.values() if one.each_epoch}
    always = {one.name for one in METRICS.values() if one.final}
    sometimes = {one.name for one in METRICS.values() if one.sometimes}
    published = {"robust_accuracy_as_published"} if isinstance(perturbation, PublishedPGD) else set()
    assert set(pipeline.metrics()) == always | published
    assert sometimes == {"robust_accuracy_as_published", "energy_joules", "spent_flops"}  # the last is the trial's


def test_phases_are_those_of_the_ledger() -> None:
    phases = {f"flops_{one.name}" for one in dataclasses.fields(Ledger)}
    assert {name for name in METRICS if name.startswith("flops_")} == phases
    assert len(phases) == 7


def test_what_a_recipe_has_spent_itself_is_without_its_ancestors_and_never_below_nothing() -> None:
    numbers = {"train_flops": 7.0, "planned_train_flops": None, "flops_ancestors": 3.0}
    assert own_flops(numbers) == 4
    assert own_flops(numbers, of="planned_train_flops") == 0
    assert own_flops({"train_flops": 7.0}) == 7


def test_what_is_planned_is_in_every_row() -> None:
    assert COMPUTE == ("train_flops", "end_to_end_flops")
    for one in METRICS.values():
        assert one.planned is None or METRICS[one.planned].each_epoch
        assert one.final or one.sometimes or one.each_epoch, one.name
        assert not one.recorded or one.final or one.each_epoch, one.name
    assert set(OBJECTIVES) == {one.name for one in METRICS.values() if one.bounded}


def test_the_table_needs_no_torch() -> None:
    code = "import sys, trainables.evaluation.metrics; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
