"""Training in mixed precision, by the same code on CPU and GPU: what computes in bfloat16, and what must not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from trainables.attacks.attack import perturb
from trainables.attacks.config import FGSM, PGD
from trainables.attacks.registry import attack_of
from trainables.compression.config import ChannelPruning, Quantization
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.losses.config import Trades
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop, Schedule
from trainables.storage import Folder
from trainables.training.precision import MixedPrecision, in_precision

DEVICES = [torch.device("cpu"), pytest.param(torch.device("cuda"), marks=pytest.mark.gpu)]
MEASURED = ("device_seconds", "energy_joules")  # differ from run to run
DATA = Data(name="digits", train_size=400, validation_size=200)
EVALUATION = ScoringProtocol(epsilon=0.1, steps=5)
FULL = Recipe(
    data=DATA,
    model=Network(name="small"),
    perturbation=PGD(epsilon=0.1, steps=2),
    compression=ChannelPruning(pruning_ratio=0.25),
    schedule=Schedule(epochs=6, learning_rate=0.05, averaging=0.9),
)
MIXED: dict[str, Any] = {"precision": "bf16-mixed"}
FEW = Data(name="digits", train_size=80, validation_size=50)  # where nothing needs to be learnt


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(DATA)


def numbers(pipeline: Pipeline) -> dict[str, float]:
    return {name: value for name, value in pipeline.metrics().items() if name not in MEASURED}


@pytest.mark.parametrize("device", DEVICES)
def test_passes_are_in_bfloat16_and_what_is_kept_in_float32(device: torch.device) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).to(device)
    seen: set[torch.dtype] = set()
    inner[0].register_forward_hook(lambda layer, inputs, output: seen.add(output.dtype))
    network, x, y = MixedPrecision(inner), torch.rand(5, 1, 8, 8, device=device), torch.arange(5, device=device) % 3
    attack = attack_of(PGD(epsilon=0.1, steps=2))
    adversarial = perturb(attack, network, x, y, Generator(device).manual_seed(0))
    logits = network(adversarial)
    logits.square().sum().backward()
    assert seen == {torch.bfloat16}
    gradients = [parameter.grad for parameter in inner.parameters()]
    kept: list[Tensor | None] = [adversarial, logits, *inner.parameters(), *inner.buffers(), *gradients]
    assert {one.dtype for one in kept if one is not None and one.is_floating_point()} == {torch.float32}
    assert None not in gradients
    assert in_precision(inner, "float32") is inner


@pytest.mark.parametrize("device", DEVICES)
def test_training_is_mixed_scores_are_not_and_both_come_to_the_same(splits: Splits, device: torch.device) -> None:
    mixed = Pipeline(FULL.model_copy(update=MIXED), EVALUATION, splits, None, device)
    seen: dict[str, set[torch.dtype]] = {"trained": set(), "scored": set()}
    for which, model in (("trained", mixed.model), ("scored", mixed.deployed)):
        layer = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
        layer.register_forward_hook(lambda layer, inputs, output, which=which: seen[which].add(output.dtype))
    while not mixed.finished:
        mixed.step()
    assert seen == {"trained": {torch.bfloat16}, "scored": {torch.float32}}
    full, found = numbers(run(FULL, EVALUATION, splits, device)), numbers(mixed)
    for name in ("train_flops", "end_to_end_flops", "inference_macs", "model_bytes"):
        assert found[name] == full[name]
    for name in ("clean_accuracy", "robust_accuracy"):
        assert found[name] > 0.5  # chance is 0.1
        assert found[name] == pytest.approx(full[name], abs=0.1)  # three standard errors of 200 images
    assert found != full


VARIANTS: list[dict[str, Any]] = [
    {"loss": Trades()},
    {"perturbation": FGSM(epsilon=0.1), "loop": FreeLoop(replays=2)},
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("device", DEVICES)
def test_a_checkpoint_goes_on_to_the_same_numbers(
    tmp_path: Path, variant: dict[str, Any], device: torch.device
) -> None:
    set_conditions(1)
    splits = load_splits(FEW)
    short = {"data": FEW, "schedule": Schedule(epochs=3, learning_rate=0.05)}
    recipe = FULL.model_copy(update=MIXED | short | variant)
    whole = run(recipe, EVALUATION, splits, device)
    folder, interrupted = Folder(str(tmp_path)), Pipeline(recipe, EVALUATION, splits, None, device)
    interrupted.step()
    interrupted.save(folder)
    resumed = Pipeline(recipe, EVALUATION, splits, None, device)
    resumed.restore(folder)
    while not resumed.finished:
        resumed.step()
    assert numbers(resumed) == numbers(whole)


def test_quantized_recipes_train_in_float32() -> None:
    bits = Quantization(weight_bits=4, activation_bits=4)
    with pytest.raises(ValueError, match="precision: got bf16-mixed with quantization, expected float32"):
        Recipe.model_validate((FULL.model_copy(update=MIXED | {"quantization": bits})).model_dump())
    rest = "perturbation: {kind: n_fgsm, epsilon: 0.1}, schedule: {epochs: 1, learning_rate: 0.1}"
    bits_too = f"{{name: bits, quantization: {{weight_bits: 4, activation_bits: 4}}, {rest}}}"
    baselines = f"baselines=[{{name: whole, {rest}}}, {bits_too}]"
    study = load("digits", ["precision=bf16-mixed", "reference=whole", baselines])
    assert {one.name: one.recipe.precision for one in FixedRecipes.of(study)} == {
        "base": "bf16-mixed",
        "whole": "bf16-mixed",
        "bits": "float32",
    }
    with pytest.raises(InvalidInput, match="precision"):
        load("digits", ["precision=fp8"])
