"""What a cost-aware sampler is told that recipes cost, against the planner and what recipes really came to."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from search.events import Outcome, Proposal
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.study.resources import Role
from search.study.study import Study
from search.surrogate.cost_model import OWN_FLOPS, CostModel
from tests.support.command import SMALL
from trainables.attacks.config import FGSM, NFGSM, PGD
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import ChannelPruning, Quantization
from trainables.data.splits import Splits, load_splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.metrics import own_flops
from trainables.execution.ending import FINISHED
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.losses.config import Trades
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import FreeLoop, Schedule

EVALUATION = ScoringProtocol(epsilon=0.1, steps=1, progress_steps=1, progress_examples=10)
TINY = [*SMALL, "data.train_size=30", "data.validation_size=10", "pretraining.epochs=1"]
MARGINAL = load("digits", TINY)
END_TO_END = load("digits", [*TINY, "objectives=[robust_accuracy, end_to_end_flops]"])


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(MARGINAL.data)


@pytest.fixture(scope="module")
def finished(splits: Splits) -> Callable[[Recipe], Pipeline]:
    """Trains a recipe, and before it what it builds on, each once."""

    @cache
    def train(recipe: Recipe) -> Pipeline:
        base, teacher = (train(one).trained() if one else None for one in (recipe.base, recipe.separate_teacher))
        pipeline = Pipeline(recipe, EVALUATION, splits, base, torch.device("cpu"), teacher)
        while not pipeline.finished:
            pipeline.step()
        return pipeline

    return train


def tuned(**parts: Any) -> Recipe:
    plain = {"base": base_recipe(MARGINAL), "perturbation": NFGSM(epsilon=0.2), "schedule": epochs(2)}
    return base_recipe(MARGINAL).model_copy(update=plain | parts)


def epochs(count: int) -> Schedule:
    return Schedule(epochs=count, learning_rate=0.01)


def costs(study: Study, splits: Splits, finished: Any, *named: str) -> CostModel:
    """Of a study in which these recipes have finished; no other may be asked for."""
    there = {fixed.recipe: fixed for fixed in FixedRecipes.of(study) if fixed.name in named}

    def fetch(recipe: Recipe) -> TrainedModel:
        return finished(there[recipe].recipe).trained()  # type: ignore[no-any-return]

    made = CostModel(study, FixedRecipes.of(study), splits, fetch)
    for fixed in there.values():
        end(made, fixed.recipe, fixed.role)
    return made


def compute(told: CostModel, recipe: Recipe) -> float:
    """What it plans of a recipe, where compute is all that the study wants."""
    (flops,) = (planned for name, planned in told(recipe).items() if name != OWN_FLOPS)
    return flops


def with_own(metrics: dict[str, float]) -> dict[str, float]:
    """Final numbers, with what the recipe spent itself."""
    return metrics | {OWN_FLOPS: own_flops(metrics)}


def end(told: CostModel, recipe: Recipe, role: Role) -> None:
    told.ended(Proposal(recipe, role, None, 0), Outcome(FINISHED, {}, 1.0))


ROBUST = next(fixed.recipe for fixed in FixedRecipes.of(MARGINAL) if fixed.name == "b0")
SIZED = load(
    "digits",
    [*TINY, "objectives=[robust_accuracy, train_flops, inference_macs, inference_bitops, model_bytes, parameters]"],
)
EXACT = {
    "dense": tuned(),
    "pgd": tuned(perturbation=PGD(epsilon=0.2, steps=3)),
    "pruned": tuned(compression=ChannelPruning(pruning_ratio=0.5)),
    "distilled from its base": tuned(distillation=Distillation()),
    "distilled from a teacher": tuned(distillation=Distillation(teacher=ROBUST)),
    "a baseline": ROBUST,
    "a base of its own": base_recipe(MARGINAL),
}


@pytest.mark.parametrize("case", EXACT)
def test_they_are_exact_once_all_that_a_recipe_builds_on_has_finished(case: str, splits: Splits, finished: Any) -> None:
    recipe = EXACT[case]
    ledger = finished(recipe).ledger
    plan = FlopsPlanner(splits, lambda one: finished(one).trained()).plan(recipe)
    for study, own, planned in (
        (MARGINAL, ledger.marginal, plan.marginal),
        (END_TO_END, ledger.end_to_end, plan.end_to_end),
    ):
        told = costs(study, splits, finished, "base", "b0")
        assert compute(told, recipe) == own == planned
        assert told(recipe)[OWN_FLOPS] == ledger.marginal - ledger.ancestors
    assert ledger.end_to_end > ledger.marginal or recipe == ROBUST


def test_a_base_of_another_length_counts_by_its_length_before_it_has_finished(splits: Splits, finished: Any) -> None:
    longer = tuned(
        base=FixedRecipes.of(MARGINAL).base_of(3), compression=ChannelPruning(pruning_ratio=0.5, scope="uniform")
    )
    ledger = finished(longer).ledger
    assert compute(costs(END_TO_END, splits, finished, "base"), longer) == pytest.approx(ledger.end_to_end, rel=1e-12)
    assert compute(costs(MARGINAL, splits, finished, "base"), longer) == pytest.approx(ledger.marginal, rel=1e-12)
    assert ledger.end_to_end > 2 * finished(tuned()).ledger.base


def test_a_teacher_that_has_not_finished_adds_its_training(splits: Splits, finished: Any) -> None:
    recipe = tuned(distillation=Distillation(teacher=ROBUST))
    for study, own in ((MARGINAL, finished(recipe).ledger.marginal), (END_TO_END, finished(recipe).ledger.end_to_end)):
        told = costs(study, splits, finished, "base")
        assert compute(told, recipe) == pytest.approx(
            own, rel=1e-12
        )  # the teacher's network answers at the base's cost
        assert compute(told, recipe) > compute(told, tuned(distillation=Distillation())) > compute(told, tuned())


def test_a_base_that_is_a_file_of_weights_is_exact_too(tmp_path: Path, splits: Splits, finished: Any) -> None:
    """It has no epochs, so none are compared with another base's."""
    (tmp_path / "base.safetensors").write_bytes(finished(base_recipe(MARGINAL)).trained().weights)
    given = f"pretrained={{path: {tmp_path / 'base.safetensors'}}}"
    study = load("digits", [*TINY, "pretraining=null", given, "objectives=[robust_accuracy, end_to_end_flops]"])
    recipe = tuned(base=base_recipe(study))
    assert compute(costs(study, splits, finished, "base"), recipe) == finished(recipe).ledger.end_to_end


def test_shares_of_macs_are_counted_on_few_networks_and_not_far_off(
    splits: Splits, finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[Recipe] = []
    count = FlopsPlanner._count

    def counting(self: FlopsPlanner, recipe: Recipe, base: TrainedModel | None) -> Any:
        counted.append(recipe)
        return count(self, recipe, base)

    monkeypatch.setattr(FlopsPlanner, "_count", counting)
    told = costs(MARGINAL, splits, finished, "base")
    recipes = [
        tuned(compression=ChannelPruning(mac_ratio=share, scope="uniform"))
        for share in (0.2, 0.22, 0.24, 0.26, 0.28, 0.3, 0.32, 0.34, 0.36, 0.38, 0.4)
    ]
    found = [compute(told, recipe) for recipe in recipes]
    assert len(counted) == len(set(found)) == 5  # -9 to -5 quarters of the logarithm to base 2
    assert found == sorted(found)
    exact = FlopsPlanner(splits, lambda recipe: finished(recipe).trained())
    for index in (
        1,
        4,
        9,
    ):  # those that lie worst: half a quarter off, 2^(1/8), and in so small a network a little more
        assert found[index] == pytest.approx(exact.plan(recipes[index]).marginal, rel=0.15)


def test_a_recipe_from_scratch_is_charged_no_pretraining(splits: Splits, finished: Any) -> None:
    scratch = tuned(base=None, compression=ChannelPruning(pruning_ratio=0.5))
    for study in (MARGINAL, END_TO_END):
        ledger = finished(scratch).ledger
        assert compute(costs(study, splits, finished, "base"), scratch) == pytest.approx(ledger.end_to_end)
        assert ledger.end_to_end == ledger.marginal


@pytest.mark.parametrize("study", [MARGINAL, END_TO_END])
def test_a_teacher_that_has_not_finished_adds_its_training_to_a_recipe_from_scratch(
    study: Study, splits: Splits, finished: Any
) -> None:
    teacher = FixedRecipes.of(study).named("b1")
    student = tuned(base=None, distillation=Distillation(teacher=teacher))
    expected = finished(student).ledger.end_to_end
    for names in (("base",), ("base", "b1")):
        assert compute(costs(study, splits, finished, *names), student) == pytest.approx(expected, rel=1e-6)


def test_sizes_are_those_of_the_network_that_is_trained(splits: Splits, finished: Any) -> None:
    """Exact for dense networks of whatever bits; bits of a pruned one are not far off."""
    told = costs(SIZED, splits, finished, "base")
    bits, half = Quantization(weight_bits=4, activation_bits=8), ChannelPruning(pruning_ratio=0.5)
    for recipe in (tuned(), tuned(compression=half), tuned(quantization=bits)):
        metrics = with_own(finished(recipe).metrics())
        for name, planned in told(recipe).items():
            # Rounding the weights costs FLOPs of training too, which no plan counts.
            about = recipe.quantization is not None and name in ("train_flops", OWN_FLOPS)
            assert planned == pytest.approx(metrics[name], rel=0.1 if about else 1e-12), name
    both = tuned(compression=half, quantization=bits)
    metrics = with_own(finished(both).metrics())
    for name, size in told(both).items():
        assert size == pytest.approx(metrics[name], rel=0.15), name


def test_bits_are_counted_once_and_not_for_every_network(splits: Splits, finished: Any) -> None:
    told = costs(SIZED, splits, finished, "base")
    for ratio in (0.3, 0.5, 0.7):
        for weight_bits in (2, 4, 8):
            bits = Quantization(weight_bits=weight_bits, activation_bits=8)
            told(tuned(compression=ChannelPruning(pruning_ratio=ratio), quantization=bits))
    assert len(told._planner._counted) <= 1 + 3 * 2 + 3  # dense, the ratios' neighbours, and dense with each bits


def test_the_share_of_macs_is_of_the_dense_network(splits: Splits, finished: Any) -> None:
    study = load("digits", [*TINY, "objectives=[robust_accuracy, end_to_end_flops, train_flops, mac_ratio]"])
    told, recipe = costs(study, splits, finished, "base"), tuned(compression=ChannelPruning(pruning_ratio=0.5))
    metrics = with_own(finished(recipe).metrics())
    wanted = [OWN_FLOPS, *(name for name in study.objectives if name != "robust_accuracy")]
    assert told(recipe) == pytest.approx({name: metrics[name] for name in wanted})
    assert told(tuned(quantization=Quantization(weight_bits=4, activation_bits=8)))["mac_ratio"] == 1.0


def test_sizes_between_the_counted_ratios_are_not_far_off(splits: Splits, finished: Any) -> None:
    told = costs(SIZED, splits, finished, "base")
    for ratio in (0.37, 0.62, 0.73):
        recipe = tuned(compression=ChannelPruning(pruning_ratio=ratio))
        metrics = with_own(finished(recipe).metrics())
        for name, planned in told(recipe).items():
            assert planned == pytest.approx(metrics[name], rel=0.15), (ratio, name)


def test_recipes_that_differ_in_what_costs_nothing_are_planned_once(
    splits: Splits, finished: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[Recipe] = []
    plan = FlopsPlanner.plan

    def planning(self: FlopsPlanner, recipe: Recipe) -> Any:
        planned.append(recipe)
        return plan(self, recipe)

    monkeypatch.setattr(FlopsPlanner, "plan", planning)
    told = costs(MARGINAL, splits, finished, "base")
    faster = Schedule(epochs=2, learning_rate=0.05)
    assert told(tuned()) == told(tuned(perturbation=NFGSM(epsilon=0.1), schedule=faster))
    assert len(planned) == 1
    others = [tuned(perturbation=PGD(epsilon=0.2, steps=3)), tuned(schedule=epochs(3)), tuned(loss=Trades())]
    others += [tuned(base=None), tuned(loop=FreeLoop(), perturbation=FGSM(epsilon=0.2)), tuned(seed=1)]
    for one in others:
        told(one)
    assert len(planned) == 1 + len(others)
    end(told, ROBUST, "baseline")  # now its own weights can be counted with
    told(tuned())
    assert len(planned) == 2 + len(others)
