"""A recipe from start to numbers: bases, pruning, divergence, checkpoints, and the untouched test split."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trainables.data.sources as sources
from trainables.attacks.config import FGSM, NFGSM, PGD
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import ChannelPruning, Quantization
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits, load_test
from trainables.errors import InvalidInput, TemperError
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.losses.config import Trades
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Augmentation, FreeLoop, Schedule
from trainables.storage import Folder

CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=200, validation_size=100)
EVALUATION = ScoringProtocol(epsilon=0.2, steps=3, progress_steps=1)
BASE = Recipe(data=DATA, model=Network(name="small"), schedule=Schedule(epochs=2, learning_rate=0.05))
TUNED = BASE.model_copy(
    update={
        "base": BASE,
        "compression": ChannelPruning(pruning_ratio=0.5),
        "perturbation": NFGSM(epsilon=0.2),
        "schedule": Schedule(epochs=3, learning_rate=0.1),
    }
)


DEVICES = [CPU, pytest.param(torch.device("cuda"), marks=pytest.mark.gpu)]
MEASURED = ("device_seconds", "energy_joules")  # differ from run to run


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(DATA)


@pytest.fixture(scope="module")
def base(splits: Splits) -> TrainedModel:
    return run(BASE, EVALUATION, splits, CPU).trained()


@pytest.fixture(scope="module")
def straights() -> dict[tuple[str, torch.device], Pipeline]:
    """Variants that ran from start to end without a break, each made by the first test that compares with it."""
    return {}


def numbers(pipeline: Pipeline) -> dict[str, float]:
    return {name: value for name, value in pipeline.metrics().items() if name not in MEASURED}


def test_half_the_channels_leave_a_quarter_of_the_macs(splits: Splits, base: TrainedModel) -> None:
    dense = Pipeline(BASE, EVALUATION, splits, None, CPU)
    for scope in ("global", "uniform"):
        pruning = ChannelPruning.model_validate({"pruning_ratio": 0.5, "scope": scope})
        pruned = Pipeline(TUNED.model_copy(update={"compression": pruning}), EVALUATION, splits, base, CPU)
        ratio = pruned.cost.forward / dense.cost.forward
        assert (0.24 < ratio < 0.27) if scope == "uniform" else (0.1 < ratio < 0.5)
        assert pruned.model(torch.rand(2, 1, 8, 8)).shape == (2, 10)


def test_a_recipe_is_reproduced_bitwise_with_its_base(splits: Splits, base: TrainedModel) -> None:
    assert numbers(run(TUNED, EVALUATION, splits, CPU, base)) == numbers(run(TUNED, EVALUATION, splits, CPU))


VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "warm-up and augmentation": {
        "perturbation": PGD(epsilon=0.2, steps=2, warm_up=0.5),
        "augmentation": Augmentation(crop_padding=1, flip=True),
    },
    "averaged AdamW": {
        "schedule": Schedule(epochs=3, learning_rate=0.01, shape="cosine", optimizer="adamw", averaging=0.9)
    },
    "TRADES, best epoch": {"loss": Trades(), "keep": "best"},
    "pruned by Taylor, then quantized": {
        "compression": ChannelPruning(mac_ratio=0.3, importance="taylor", scope="uniform"),
        "quantization": Quantization(weight_bits=4, activation_bits=6),
        "schedule": Schedule(epochs=3, learning_rate=0.05, averaging=0.9),
    },
    "free": {"perturbation": FGSM(epsilon=0.1), "loop": FreeLoop(replays=2)},
}


@pytest.mark.gpu
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_card_counts_what_a_cpu_counts_and_answers_as_it_does(
    splits: Splits, base: TrainedModel, variant: str
) -> None:
    """Training draws and rounds otherwise on each device, so the same trained network is compared on both."""
    recipe = TUNED.model_copy(update=VARIANTS[variant])
    on_card, on_cpu = (run(recipe, EVALUATION, splits, torch.device(name), base) for name in ("cuda", "cpu"))
    assert on_card.cost == on_cpu.cost
    for counted in ("train_flops", "inference_bitops", "model_bytes"):
        assert on_card.metrics()[counted] == on_cpu.metrics()[counted]
    assert on_card.metrics()["energy_joules"] > 0
    images, _ = splits.validation.tensors(CPU)
    model = on_cpu.deployed.eval()
    with torch.no_grad():
        answers = model(images).argmax(1)
        assert (model.cuda()(images.cuda()).argmax(1).cpu() == answers).float().mean() >= 0.97  # 100 images


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("epochs_before", [1, 2, 3])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_checkpoint_continues_to_the_same_numbers(
    splits: Splits,
    base: TrainedModel,
    straights: dict[tuple[str, torch.device], Pipeline],
    tmp_path: Path,
    epochs_before: int,
    variant: str,
    device: torch.device,
) -> None:
    recipe = TUNED.model_copy(update=VARIANTS[variant])
    if (variant, device) not in straights:
        straights[variant, device] = run(recipe, EVALUATION, splits, device, base)
    straight = straights[variant, device]
    first = Pipeline(recipe, EVALUATION, splits, base, device)
    for _ in range(epochs_before):
        first.step()
        first.save(Folder(str(tmp_path)))
    second = Pipeline(recipe, EVALUATION, splits, base, device)
    second.restore(Folder(str(tmp_path)))
    assert second.epoch == epochs_before
    while not second.finished:
        second.step()
    assert numbers(second) == numbers(straight)
    assert second.trained().weights == straight.trained().weights


def test_a_torn_checkpoint_falls_back_to_the_one_before_and_the_last_one_outlasts_a_loss_of_power(
    splits: Splits, base: TrainedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline, synced = Pipeline(TUNED, EVALUATION, splits, base, CPU), list[int]()
    monkeypatch.setattr("os.fsync", synced.append)
    for _ in range(2):
        pipeline.step()
        pipeline.save(Folder(str(tmp_path)))
    assert synced == []
    torn = tmp_path / "2" / "weights.safetensors"
    torn.write_bytes(torn.read_bytes()[:100])
    again = Pipeline(TUNED, EVALUATION, splits, base, CPU)
    again.restore(Folder(str(tmp_path)))
    assert again.epoch == 1
    pipeline.step()
    pipeline.save(Folder(str(tmp_path)))
    assert pipeline.finished
    assert len(synced) == 2 * 4 + 1  # its files with the folder each time, and the folder above that is new


def test_divergence_ends_a_recipe_with_its_reason(splits: Splits) -> None:
    wild = BASE.model_copy(update={"schedule": Schedule(epochs=3, learning_rate=1e30)})
    pipeline = run(wild, EVALUATION, splits, CPU)
    assert pipeline.reason is not None
    assert pipeline.reason.startswith("diverged")
    assert pipeline.history[-1]["loss"] is None
    with pytest.raises(TemperError):
        pipeline.metrics()


def test_the_best_epoch_is_kept_and_scored_where_the_recipe_says_so(splits: Splits, base: TrainedModel) -> None:
    # A rate that wrecks the model in its last epochs: best and last differ, and each is what `keep` says.
    schedule = Schedule(epochs=4, learning_rate=0.8, shape="constant")
    kept = {}
    for keep in ("best", "last"):
        recipe = TUNED.model_copy(update={"schedule": schedule, "keep": keep})
        kept[keep] = run(recipe, EVALUATION, splits, CPU, base)
    history = kept["best"].history
    best = max(history, key=lambda row: float(row["robust_accuracy"] or 0))["epoch"]
    assert best in (1, 2, 3)
    assert kept["best"].metrics()["kept_epoch"] == best
    assert kept["last"].metrics()["kept_epoch"] == 4
    assert kept["best"].trained().weights != kept["last"].trained().weights
    assert kept["best"].metrics()["robust_accuracy"] > kept["last"].metrics()["robust_accuracy"]
    assert kept["best"].metrics()["train_flops"] == kept["last"].metrics()["train_flops"]


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(ValueError, match=r"loss.kind: got trades without a perturbation"):
        Recipe.model_validate(BASE.model_dump() | {"loss": {"kind": "trades"}})
    with pytest.raises(ValueError, match=r"got free with perturbation none.*"):
        Recipe.model_validate(BASE.model_dump() | {"loop": {"kind": "free"}})
    warmed = {"perturbation": {"kind": "fgsm", "epsilon": 0.1, "warm_up": 0.5}, "loop": {"kind": "free"}}
    with pytest.raises(ValueError, match="got free with a warm_up or step_size"):
        Recipe.model_validate(BASE.model_dump() | warmed)
    with pytest.raises(ValueError, match=r"got 8, expected a number in \(0, 0.5\]"):
        PGD(epsilon=8, steps=2)
    assert PGD(norm="l2", epsilon=8, steps=2).epsilon == 8


def test_a_pruned_and_quantized_recipe_can_be_a_base(splits: Splits, base: TrainedModel) -> None:
    small = TUNED.model_copy(update={"quantization": Quantization(weight_bits=4, activation_bits=8)})
    trained = run(small, EVALUATION, splits, CPU, base).trained()
    again = BASE.model_copy(update={"base": small})
    dense = Pipeline(again, EVALUATION, splits, trained, CPU)
    narrow = Pipeline(small, EVALUATION, splits, base, CPU)
    assert dense.cost == narrow.cost
    assert set(dense.model.state_dict()) == set(Pipeline(BASE, EVALUATION, splits, None, CPU).model.state_dict())
    assert dense.ledger.ancestors == sum(compute.marginal for compute in trained.lineage.values()) > 0
    while not dense.finished:
        dense.step()
    assert dense.metrics()["mac_ratio"] < 0.5  # of the architecture, though nothing was pruned here


def test_a_missing_base_is_refused(splits: Splits) -> None:
    with pytest.raises(TemperError, match="base was not given"):
        Pipeline(TUNED, EVALUATION, splits, None, CPU)


def test_spoiled_test_examples_change_nothing(
    splits: Splits, base: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = numbers(run(TUNED, EVALUATION, splits, CPU, base))
    from sklearn.datasets import load_digits as real

    def spoiled(**arguments: Any) -> Any:
        images, labels = real(**arguments)
        test = np.random.default_rng(0).permutation(len(labels))[: sources.DIGITS_TEST_SIZE]
        images[test], labels[test] = 16.0, 0
        return images, labels

    monkeypatch.setattr("sklearn.datasets.load_digits", spoiled)
    after = load_splits(DATA)
    assert (load_test(DATA, after).images == 1.0).all()
    assert numbers(run(TUNED, EVALUATION, after, CPU)) == before


def test_opening_the_test_split_is_logged(splits: Splits, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert len(load_test(DATA, splits)) == 300
    assert "test split of digits was opened" in caplog.text


def test_too_many_images_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected at most 1497"):
        load_splits(Data(name="digits", train_size=1400, validation_size=200))


def test_a_network_that_draws_numbers_continues_to_the_same_numbers(
    splits: Splits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dropout draws from PyTorch's own generator, whose state is in the checkpoint too."""
    (tmp_path / "dropping.py").write_text(
        "from torch.nn import Dropout, Flatten, Linear, Sequential\n\n\ndef network(image_shape, classes):\n"
        "    return Sequential(Flatten(), Linear(64, 32), Dropout(0.5), Linear(32, classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    recipe = TUNED.model_copy(update={"base": None, "model": Network(name="dropping:network")})
    straight = run(recipe, EVALUATION, splits, CPU)
    first = Pipeline(recipe, EVALUATION, splits, None, CPU)
    first.step()
    first.save(Folder(str(tmp_path / "checkpoint")))
    second = Pipeline(recipe, EVALUATION, splits, None, CPU)
    second.restore(Folder(str(tmp_path / "checkpoint")))
    while not second.finished:
        second.step()
    assert second.trained().weights == straight.trained().weights
