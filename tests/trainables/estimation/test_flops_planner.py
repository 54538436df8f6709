"""Plans against the ledgers of recipes that were really trained."""

import random
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from trainables.attacks.config import FGSM, NFGSM, PGD, PublishedPGD
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import ChannelPruning, Importance, Quantization
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.losses.config import CrossEntropy, Mixed, Trades
from trainables.models.config import Network, Weights
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import FreeLoop, Schedule

CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=30, validation_size=10)
EVALUATION = ScoringProtocol(epsilon=0.1, steps=1, progress_steps=1, progress_examples=10)
PGD2, HALF = PGD(epsilon=0.1, steps=2), ChannelPruning(pruning_ratio=0.5)


def schedule(epochs: int = 1, rate: float = 0.01) -> Schedule:
    return Schedule(epochs=epochs, learning_rate=rate, batch_size=16)  # the last batch of 30 is smaller


def scratch(**parts: Any) -> Recipe:
    return Recipe(**{"data": DATA, "model": Network(name="small"), "schedule": schedule()} | parts)


ORDINARY = scratch(schedule=schedule(2))


def tuned(**parts: Any) -> Recipe:
    return scratch(**{"base": ORDINARY, "perturbation": NFGSM(epsilon=0.1)} | parts)


ROBUST = scratch(perturbation=PGD2, seed=1)  # so that other channels are the least
PRUNED = tuned(base=ROBUST, compression=HALF, distillation=Distillation())
FURTHER = tuned(base=ROBUST, perturbation=PGD2)

# All go to one planner, so that a count that is wrongly shared by two of them shows.
EXACT = {
    "ordinary": ORDINARY,
    "pgd": scratch(perturbation=PGD(epsilon=0.1, steps=3), schedule=schedule(2)),
    "pgd in l2": scratch(perturbation=PGD(epsilon=0.5, steps=4, norm="l2")),
    "pgd with a warm-up": scratch(perturbation=PGD(epsilon=0.1, steps=3, warm_up=0.5)),
    "pgd as published": scratch(perturbation=PublishedPGD(epsilon=0.1, steps=3)),
    "fgsm": scratch(perturbation=FGSM(epsilon=0.1)),
    "n-fgsm": scratch(perturbation=NFGSM(epsilon=0.1)),
    "trades": scratch(perturbation=PGD2, loss=Trades()),
    "mixed": scratch(perturbation=PGD2, loss=Mixed()),
    "free": scratch(perturbation=FGSM(epsilon=0.1), loop=FreeLoop(replays=3), schedule=schedule(2)),
    "from an ordinary base": tuned(schedule=schedule(2)),
    "from a robust base": tuned(base=ROBUST),
    "from a pruned base": tuned(base=PRUNED),
    "ordinary from a robust base": scratch(base=ROBUST),
    "ordinary from an ordinary base": scratch(base=ORDINARY),
    "pruned": tuned(compression=HALF),
    "pruned from a robust base": tuned(base=ROBUST, compression=HALF),
    "pruned twice": tuned(base=PRUNED, compression=HALF),
    "pruned from scratch": tuned(base=None, compression=HALF),
    "pruned from scratch with another seed": tuned(base=None, compression=HALF, seed=1),
    "pruned in each layer": tuned(compression=HALF.model_copy(update={"scope": "uniform"})),
    "pruned to a share of the MACs": tuned(compression=ChannelPruning(mac_ratio=0.3)),
    "taylor": tuned(compression=ChannelPruning(pruning_ratio=0.5, importance="taylor", taylor_examples=20)),
    "taylor on all images": tuned(compression=ChannelPruning(pruning_ratio=0.5, importance="taylor")),
    "at random": tuned(compression=ChannelPruning(pruning_ratio=0.5, importance="random")),
    "at random with another seed": tuned(compression=ChannelPruning(pruning_ratio=0.5, importance="random"), seed=1),
    "quantized": tuned(quantization=Quantization(calibration_examples=7)),
    "quantized from more images": tuned(quantization=Quantization(weight_bits=4, calibration_examples=11)),
    "pruned and quantized": tuned(compression=HALF, quantization=Quantization(calibration_examples=7)),
    "distilled from its base": tuned(base=ROBUST, distillation=Distillation()),
    "distilled from a pruned teacher": tuned(distillation=Distillation(teacher=PRUNED)),
    "distilled from its base's descendant": tuned(base=ROBUST, distillation=Distillation(teacher=FURTHER)),
    "distilled without attack": scratch(distillation=Distillation(teacher=ORDINARY)),
    "no epochs": scratch(base=ROBUST, schedule=schedule(0)),
    "no epochs, pruned and quantized": scratch(
        base=ORDINARY, compression=HALF, quantization=Quantization(), schedule=schedule(0)
    ),
    "in steps, in each layer": tuned(
        compression=ChannelPruning(pruning_ratio=0.5, steps=2, scope="uniform"), schedule=schedule(3)
    ),
    "in steps, at random": tuned(
        compression=ChannelPruning(pruning_ratio=0.5, steps=2, importance="random"), schedule=schedule(2)
    ),
    "in steps, quantized after the last": tuned(
        compression=ChannelPruning(pruning_ratio=0.5, steps=2, scope="uniform", importance="taylor"),
        quantization=Quantization(calibration_examples=7),
        schedule=schedule(2),
    ),
}


def normalized(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """A linear layer whose weight is divided by its spectral norm in each pass."""
    return nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(64, classes)))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    set_conditions(1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(DATA)


@pytest.fixture(scope="module")
def finished(splits: Splits) -> Callable[[Recipe], Pipeline]:
    """Trains a recipe, and before it what it builds on, each once."""

    @cache
    def train(recipe: Recipe) -> Pipeline:
        ancestors = (recipe.base, recipe.separate_teacher)
        base, teacher = (train(one).trained() if one else None for one in ancestors)
        pipeline = Pipeline(recipe, EVALUATION, splits, base, CPU, teacher)
        while not pipeline.finished:
            pipeline.step()
        assert pipeline.reason is None
        return pipeline

    return train


@pytest.fixture(scope="module")
def planner(splits: Splits, finished: Callable[[Recipe], Pipeline]) -> FlopsPlanner:
    return FlopsPlanner(splits, lambda recipe: finished(recipe).trained())


@pytest.mark.parametrize("case", EXACT)
def test_a_plan_is_the_ledger_at_the_end(
    case: str, planner: FlopsPlanner, finished: Callable[[Recipe], Pipeline]
) -> None:
    planned, ledger = planner.plan(EXACT[case]), finished(EXACT[case]).ledger
    assert planned.as_dict() == ledger.as_dict() | {"validation": 0}
    assert (planned.marginal, planned.end_to_end) == (ledger.marginal, ledger.end_to_end)


def test_what_each_pass_does_once_is_charged_to_passes_and_not_to_images(
    planner: FlopsPlanner, finished: Callable[[Recipe], Pipeline]
) -> None:
    network = Network(name="tests.trainables.estimation.test_flops_planner:normalized")
    recipe = scratch(model=network, perturbation=PGD2, schedule=schedule(2))
    ledger, layer, norm = finished(recipe).ledger, 2 * 64 * 10, 2 * 64 * 10 + 2 * 10
    images, batches = 2 * 30, 2 * 2
    assert ledger.attack == pytest.approx(2 * (2 * layer * images + norm * batches))  # two steps
    assert ledger.update == pytest.approx(2 * layer * images + (norm + 2 * layer) * batches)
    assert planner.plan(recipe).marginal == pytest.approx(ledger.marginal)
    assert finished(recipe).metrics()["inference_macs"] == 640


def test_the_cases_tell_compressions_seeds_and_bases_apart(planner: FlopsPlanner) -> None:
    """Otherwise the test above would not see a count that two of them share."""
    alike = (
        ("pruned from scratch", "pruned from scratch with another seed"),
        ("at random", "at random with another seed"),
        ("pruned", "pruned from a robust base"),
        ("taylor", "taylor on all images"),
        ("quantized", "quantized from more images"),
    )
    for one, other in alike:
        first, second = planner.plan(EXACT[one]), planner.plan(EXACT[other])
        assert (first.compression, first.attack) != (second.compression, second.attack), one


def test_a_file_of_weights_is_counted_as_its_own_network(
    tmp_path: Path, planner: FlopsPlanner, finished: Callable[[Recipe], Pipeline]
) -> None:
    ledgers = []
    for ancestor in (ORDINARY, ROBUST):
        path = tmp_path / f"{ancestor.id}.safetensors"
        path.write_bytes(finished(ancestor).trained().weights)
        recipe = tuned(base=None, weights=Weights(path=str(path)), compression=HALF)
        ledgers.append(planner.plan(recipe))
        assert ledgers[-1].as_dict() == finished(recipe).ledger.as_dict() | {"validation": 0}
    assert ledgers[0] != ledgers[1]


def test_a_teacher_that_brings_its_soft_labels_costs_the_same(
    splits: Splits, planner: FlopsPlanner, finished: Callable[[Recipe], Pipeline]
) -> None:
    prepared = FlopsPlanner(splits, lambda recipe: finished(recipe).trained(teaches=True))
    recipe = EXACT["distilled from a pruned teacher"]
    assert prepared.plan(recipe) == planner.plan(recipe)


@pytest.mark.parametrize("importance", ["l1", "taylor"])
def test_pruning_in_steps_is_planned_within_five_percent(
    importance: Importance, planner: FlopsPlanner, finished: Callable[[Recipe], Pipeline]
) -> None:
    pruning = ChannelPruning(pruning_ratio=0.6, steps=2, importance=importance)
    recipe = tuned(compression=pruning, schedule=schedule(3, rate=0.05))
    planned, ledger = planner.plan(recipe), finished(recipe).ledger
    assert planned.marginal == pytest.approx(ledger.marginal, rel=0.05)
    at_once = recipe.model_copy(update={"compression": pruning.model_copy(update={"steps": 1})})
    assert planned.marginal > 1.1 * planner.plan(at_once).marginal  # its first epochs are of a larger network


built: list[int] = []


def own_network(*, image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Counts how often it is built."""
    built.append(1)
    channels, height, width = image_shape
    layers = [nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * height * width, classes)]
    return nn.Sequential(*layers)


def test_a_network_is_built_once_for_all_that_is_done_to_it(splits: Splits) -> None:
    built.clear()
    planner = FlopsPlanner(splits, never)
    recipe = scratch(model=Network(name=f"{__name__}:own_network"), perturbation=PGD2, compression=HALF)
    first = planner.plan(recipe)
    assert len(built) == 1
    as_dear: list[dict[str, Any]] = [
        {"perturbation": PGD(epsilon=0.3, steps=2)},
        {"schedule": schedule(1, rate=0.5)},
        {"loss": CrossEntropy(label_smoothing=0.1)},
    ]
    for parts in as_dear:
        assert planner.plan(recipe.model_copy(update=parts)) == first
    dearer: list[dict[str, Any]] = [
        {"perturbation": PGD(epsilon=0.1, steps=3)},
        {"schedule": schedule(5)},
        {"loss": Trades()},
        {"perturbation": FGSM(epsilon=0.1), "loop": FreeLoop()},
    ]
    for parts in dearer:
        assert planner.plan(recipe.model_copy(update=parts)).marginal > first.marginal
    assert planner.plan(Recipe.model_validate(recipe.model_dump())) == first  # equal, but no part is the same object
    assert len(built) == 1
    assert planner.plan(recipe.model_copy(update={"compression": ChannelPruning(pruning_ratio=0.7)})) != first
    assert len(built) == 1
    planner.plan(recipe.model_copy(update={"seed": 1}))
    assert len(built) == 2


def test_a_base_is_asked_for_once_and_again_only_if_it_was_missing(splits: Splits, finished: Any) -> None:
    there, asked = finished(ORDINARY).trained(), []

    def trained(recipe: Recipe) -> TrainedModel:
        asked.append(recipe)
        if len(asked) == 1:
            raise LookupError("not trained yet")
        return there  # type: ignore[no-any-return]

    planner = FlopsPlanner(splits, trained)
    with pytest.raises(LookupError, match="not trained yet"):
        planner.plan(tuned())
    for recipe in (tuned(), tuned(compression=HALF), tuned(distillation=Distillation()), tuned(schedule=schedule(3))):
        planner.plan(recipe)
    assert asked == [ORDINARY, ORDINARY]


def test_a_network_that_was_counted_is_planned_in_well_under_a_millisecond(planner: FlopsPlanner) -> None:
    recipe = tuned(base=FURTHER, compression=HALF)
    planner.plan(recipe)
    seconds = []
    for epochs in range(1, 30):
        other = Recipe.model_validate(recipe.model_copy(update={"schedule": schedule(epochs)}).model_dump())
        started = time.perf_counter()
        planner.plan(other)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 5e-4  # about 50 µs on one core; counting takes a thousand times as long


def test_planning_leaves_random_states_and_settings_alone(splits: Splits, finished: Any) -> None:
    planner = FlopsPlanner(splits, lambda recipe: finished(recipe).trained())
    pruning = ChannelPruning(pruning_ratio=0.5, importance="random", steps=2)
    recipe = tuned(
        compression=pruning,
        quantization=Quantization(),
        distillation=Distillation(teacher=ROBUST),
        schedule=schedule(2),
    )
    for ancestor in (ORDINARY, ROBUST):
        finished(ancestor)  # trains, which does seed
    torch.manual_seed(12345)

    def state() -> tuple[object, ...]:
        numbers = torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()  # type: ignore[index]
        return *numbers, torch.get_num_threads(), torch.is_grad_enabled(), torch.get_default_dtype()

    before = state()
    planner.plan(recipe)
    assert state() == before


def never(recipe: Recipe) -> TrainedModel:
    raise AssertionError("a recipe from scratch asked for an ancestor")
