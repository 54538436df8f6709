"""Pruning in steps while training: sizes after each step, what each is charged, and what restarts keep."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors
from torch import nn

from trainables.attacks.config import NFGSM, PGD
from trainables.compression.compressor import layers_of
from trainables.compression.config import ChannelPruning, Importance, Quantization, Scope
from trainables.compression.pruning import ChannelPruner
from trainables.compression.size import forward_bitops
from trainables.compute.flops import PassCost, forward_flops
from trainables.data.config import Data
from trainables.data.splits import Examples, Splits, load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.score import Score
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder

CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=120, validation_size=100)
EVALUATION = ScoringProtocol(epsilon=0.2, steps=2, progress_steps=1)
X = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(16).remainder(10)
WIDTHS = [32, 32, 64, 64, 64]  # channels of the small network's layers but the last


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> None:
    set_conditions(1)


@pytest.fixture(scope="module")
def splits() -> Splits:
    return load_splits(DATA)


def recipe(epochs: int = 4, **parts: Any) -> Recipe:
    schedule = Schedule(epochs=epochs, learning_rate=0.05)
    defaults: dict[str, Any] = {"perturbation": NFGSM(epsilon=0.2), "schedule": schedule}
    return Recipe(data=DATA, model=Network(name="small"), **defaults | parts)


def small() -> nn.Module:
    torch.manual_seed(0)
    return build(Network(name="small"), (1, 8, 8))


def widths(model: nn.Module) -> list[int]:
    return [len(layer.weight) for layer in layers_of(model).values()][:-1]


def move(model: nn.Module, by: float) -> None:
    """Stands for an epoch: every weight changes, so that a later step ranks anew."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(by * torch.randn(parameter.shape, generator=generator))


@pytest.mark.parametrize("importance", ["l1", "l2", "taylor", "random"])
@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_each_layer_has_the_channels_of_the_cubic_law_after_each_step(importance: Importance, steps: int) -> None:
    model = small()
    pruner = ChannelPruner(
        ChannelPruning(pruning_ratio=0.7, importance=importance, scope="uniform", steps=steps), seed=0
    )
    for step in range(1, steps + 1):
        pruner.step(step, model, X, Y)
        ratio = 0.7 * (1 - (1 - step / steps) ** 3)
        assert widths(model) == [int(width * (1 - ratio)) for width in WIDTHS]
        move(model, 0.01)
    assert widths(model) == [9, 9, 19, 19, 19]  # as in one shot, whatever the steps


@pytest.mark.parametrize("importance", ["l1", "taylor"])
def test_all_layers_together_have_the_channels_of_the_cubic_law(importance: Importance) -> None:
    model = small()
    pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.6, importance=importance, steps=4), seed=0)
    for step, removed in enumerate([0.6 * 37 / 64, 0.6 * 56 / 64, 0.6 * 63 / 64, 0.6], start=1):
        pruner.step(step, model, X, Y)
        assert sum(widths(model)) == int(256 * (1 - removed))
        move(model, 0.01)


@pytest.mark.parametrize(("importance", "scope"), [("l1", "global"), ("random", "uniform")])
def test_macs_fall_to_no_more_than_each_steps_share(importance: Importance, scope: Scope) -> None:
    model = small()
    whole = forward_flops(model, X[:1])
    pruner = ChannelPruner(ChannelPruning(mac_ratio=0.2, importance=importance, scope=scope, steps=2), seed=0)
    for step, wanted in enumerate([0.2 + 0.8 / 8, 0.2], start=1):
        pruner.step(step, model, X, Y)
        assert 0.85 * wanted < forward_flops(model, X[:1]) / whole <= wanted
        move(model, 0.01)


def test_each_step_of_random_importance_has_a_draw_of_its_own() -> None:
    """The channels of one layer, told apart by their weights: with one draw, the first would go in each step."""

    def kept(seed: int) -> list[float]:
        layer = nn.Conv2d(1, 12, 1, bias=False)
        layer.weight.data = torch.arange(12.0).reshape(12, 1, 1, 1)
        model = nn.Sequential(layer, nn.Flatten(), nn.Linear(12, 10))
        pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.7, importance="random", steps=2), seed=seed)
        order: list[float] = []
        for step in (1, 2):
            pruner.step(step, model, X[:, :, :1, :1], Y)
            order += layer.weight.flatten().tolist()
        return order

    made = [kept(seed) for seed in range(8)]
    assert made == [kept(seed) for seed in range(8)]
    assert len({tuple(order) for order in made}) == 8
    assert len({tuple(order[4:]) for order in made}) > 1


def test_taylor_importance_is_of_the_network_at_that_step_and_of_no_batch_before() -> None:
    model = small()
    pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.5, importance="taylor", steps=2), seed=0)
    pruner.step(1, model, X, Y)
    twin = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)  # as a batch of training leaves it
    for one in (model, twin):
        pruner.step(2, one, X, Y)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), twin.parameters(), strict=True))


def by_hand(channels: list[int]) -> PassCost:
    """Passes of the small network on 8×8 pixels: 2 FLOPs a MAC, and no input gradient of the first layer."""
    a, b, c, d, e = channels
    macs = [64 * 9 * a, 64 * 9 * a * b, 16 * 9 * b * c, 16 * 9 * c * d, 4 * d * e, e * 10]
    forward = 2 * sum(macs)
    return PassCost(forward, 2 * forward, 3 * forward - 2 * macs[0], 3 * forward)


def random_splits() -> Splits:
    generator = torch.Generator().manual_seed(0)

    def examples(count: int) -> Examples:
        images = torch.rand(count, 1, 8, 8, generator=generator).numpy()
        return Examples(images, torch.arange(count).remainder(10).numpy())

    return Splits(examples(20), examples(10))


def test_each_epoch_is_charged_for_the_network_that_ran_and_each_step_for_its_passes() -> None:
    pruning = ChannelPruning(pruning_ratio=0.6, scope="uniform", importance="taylor", taylor_examples=12, steps=2)
    schedule = Schedule(epochs=3, learning_rate=0.01, batch_size=8)
    tuned = recipe(schedule=schedule, compression=pruning, perturbation=PGD(epsilon=0.1, steps=3))
    pipeline = Pipeline(tuned, ScoringProtocol(epsilon=0.1, steps=1), random_splits(), None, CPU)
    dense, middle, final = by_hand(WIDTHS), by_hand([15, 15, 30, 30, 30]), by_hand([12, 12, 25, 25, 25])
    compression = 12 * dense.full + dense.forward  # the gradient, and one image that torch-pruning follows
    attack = update = 0.0
    for cost in (middle, final, final):
        if pipeline.epoch == 1:
            compression += 12 * middle.full + middle.forward
        pipeline.step()
        attack, update = attack + 20 * 3 * cost.input_gradient, update + 20 * cost.full
        assert pipeline.cost == cost
        ledger = pipeline.ledger
        assert (ledger.compression, ledger.attack, ledger.update) == (compression, attack, update)
    assert pipeline.metrics()["inference_macs"] == final.forward / 2
    assert pipeline.metrics()["mac_ratio"] == final.forward / dense.forward


VARIANTS: dict[str, dict[str, Any]] = {
    "l1 global": {"compression": ChannelPruning(pruning_ratio=0.7, steps=3)},
    "l1 global, averaged, then quantized": {
        "compression": ChannelPruning(pruning_ratio=0.7, steps=3),
        "quantization": Quantization(weight_bits=4, activation_bits=6),
        "schedule": Schedule(epochs=4, learning_rate=0.05, averaging=0.9),
    },
    "Taylor to MACs, then quantized, best epoch": {
        "compression": ChannelPruning(mac_ratio=0.3, importance="taylor", steps=2),
        "quantization": Quantization(weight_bits=8, activation_bits=8),
        "schedule": Schedule(epochs=3, learning_rate=0.05),
        "keep": "best",
    },
    "random, averaged AdamW": {
        "compression": ChannelPruning(pruning_ratio=0.6, importance="random", scope="uniform", steps=4),
        "schedule": Schedule(epochs=4, learning_rate=0.01, optimizer="adamw", averaging=0.9),
    },
}


def numbers(pipeline: Pipeline) -> dict[str, float]:
    return {name: value for name, value in pipeline.metrics().items() if name != "device_seconds"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_checkpoint_of_any_epoch_continues_to_the_same_numbers(splits: Splits, tmp_path: Path, variant: str) -> None:
    tuned = recipe(**VARIANTS[variant])
    straight = Pipeline(tuned, EVALUATION, splits, None, CPU)
    while not straight.finished:
        straight.step()
        straight.save(Folder(str(tmp_path / str(straight.epoch))))
    for epochs in range(1, straight.epoch + 1):
        again = Pipeline(tuned, EVALUATION, splits, None, CPU)
        again.restore(Folder(str(tmp_path / str(epochs))))
        assert again.epoch == epochs
        while not again.finished:
            again.step()
        assert numbers(again) == numbers(straight)
        assert again.trained().weights == straight.trained().weights
        strides = [parameter.stride() for parameter in straight.model.parameters()]
        assert [parameter.stride() for parameter in again.model.parameters()] == strides


def test_quantizers_come_after_the_last_step(splits: Splits) -> None:
    tuned = recipe(
        compression=ChannelPruning(pruning_ratio=0.5, steps=2),
        quantization=Quantization(weight_bits=4, activation_bits=4),
    )
    pipeline = Pipeline(tuned, EVALUATION, splits, None, CPU)
    compressors = pipeline._state.compressors
    bits = compressors.bits
    for expected in ((32, 32), (4, 4), (4, 4)):
        pipeline.step()
        assert [bits(layer) for layer in layers_of(pipeline.model).values()][1:-1] == [expected] * 4
    pipeline.step()
    assert pipeline.metrics()["inference_bitops"] == forward_bitops(pipeline.model, X[:1], compressors)
    layer = layers_of(pipeline.model)["4"]
    held = {id(parameter) for group in pipeline._state.optimizer.param_groups for parameter in group["params"]}
    assert held == {id(parameter) for parameter in pipeline.model.parameters()}
    assert bits(layer) == (4, 4)


def test_average_and_momentum_start_anew_from_the_pruned_weights(splits: Splits) -> None:
    schedule = Schedule(epochs=2, learning_rate=0.05, averaging=0.999)
    tuned = recipe(schedule=schedule, compression=ChannelPruning(pruning_ratio=0.5, steps=2))
    pipeline = Pipeline(tuned, EVALUATION, splits, None, CPU)
    pipeline.step()
    optimizer = pipeline._state.optimizer
    assert optimizer.state
    pipeline._state.prepare(2, pipeline.ledger)
    for one, other in zip(pipeline.model.parameters(), pipeline.deployed.parameters(), strict=True):
        assert torch.equal(one, other)
    assert not pipeline._state.optimizer.state


@pytest.mark.parametrize(("right", "kept"), [([9, 8, 3, 4], 4), ([9, 8, 4, 3], 3)])
def test_the_best_epoch_is_one_of_the_network_at_its_final_size(
    splits: Splits, monkeypatch: pytest.MonkeyPatch, right: list[int], kept: int
) -> None:
    scores = iter([Score(np.ones(10, np.bool_), np.arange(10) < count) for count in right])
    monkeypatch.setattr("trainables.evaluation.score.Scorer.progress", lambda *_: next(scores))
    tuned = recipe(compression=ChannelPruning(pruning_ratio=0.5, steps=3), keep="best")
    pipeline = run(tuned, EVALUATION, splits, CPU)
    assert [row["robust_accuracy"] for row in pipeline.history] == [count / 10 for count in right]
    assert pipeline.metrics()["kept_epoch"] == kept
    shapes = {name: value.shape for name, value in load_tensors(pipeline.trained().weights).items()}
    assert shapes == {name: value.shape for name, value in pipeline.model.state_dict().items()}


def test_an_accuracy_that_pruning_took_is_no_catastrophic_overfitting(
    splits: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    def noted(history: list[dict[str, Any]], *_: object, **__: object) -> None:
        seen.append([row["epoch"] for row in history])

    monkeypatch.setattr("trainables.execution.pipeline.catastrophic_overfitting", noted)
    run(recipe(compression=ChannelPruning(pruning_ratio=0.5, steps=3)), EVALUATION, splits, CPU)
    assert seen == [[], [], [3], [3, 4]]


def test_more_steps_than_epochs_are_refused() -> None:
    message = r"compression.steps: got 3 with 2 epochs, expected at most 2"
    with pytest.raises(ValueError, match=message):
        recipe(epochs=2, compression=ChannelPruning(mac_ratio=0.5, steps=3))
    assert recipe(compression=ChannelPruning(mac_ratio=0.5, steps=4)).compressed_from == 4
    with pytest.raises(ValueError, match=r"greater than or equal to 1"):
        ChannelPruning(mac_ratio=0.5, steps=0)
