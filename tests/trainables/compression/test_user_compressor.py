"""A user's own compression method: through training, restarts, successors and export; and what is refused of one."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.low_rank import LowRank, convolutions
from tests.support.masks import Masks
from trainables.attacks.config import NFGSM
from trainables.checkpoints.recovery import recover
from trainables.checkpoints.trained_model import rebuild
from trainables.compression.compressor import Compressor, Compressors
from trainables.compression.config import COMPRESSION, ChannelPruning, Quantization, UserCompression
from trainables.compression.user_compressor import user_compressor
from trainables.config import parse
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel
from trainables.errors import InvalidInput
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network
from trainables.network_check.compressed import check_compressed
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder

CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=120, validation_size=100)
EVALUATION = ScoringProtocol(epsilon=0.2, steps=2, progress_steps=1)
LOW_RANK = UserCompression.model_validate({"method": "tests.support.low_rank:LowRank", "settings": {"share": 0.3}})
MASKS = UserCompression.model_validate({"method": "tests.support.masks:Masks", "steps": 3, "settings": {"share": 0.8}})
VARIANTS: dict[str, dict[str, Any]] = {
    "low rank": {"compression": LOW_RANK},
    "low rank, averaged, quantized": {
        "compression": LOW_RANK,
        "quantization": Quantization(weight_bits=4, activation_bits=8),
        "schedule": Schedule(epochs=3, learning_rate=0.05, averaging=0.9),
    },
    "masks in three steps": {"compression": MASKS},
    "masks in three steps, averaged, quantized": {
        "compression": MASKS,
        "quantization": Quantization(weight_bits=6, activation_bits=8),
        "schedule": Schedule(epochs=4, learning_rate=0.05, averaging=0.9),
        "keep": "best",
    },
}


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(DATA)


def recipe(**parts: Any) -> Recipe:
    schedule = Schedule(epochs=3, learning_rate=0.05)
    defaults: dict[str, Any] = {"perturbation": NFGSM(epsilon=0.2), "schedule": schedule}
    return Recipe(data=DATA, model=Network(name="small"), **defaults | parts)


def numbers(pipeline: Pipeline) -> dict[str, float]:
    return {name: value for name, value in pipeline.metrics().items() if name != "device_seconds"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_is_trained_saved_restored_started_from_taught_by_and_exported(
    variant: str, splits: Splits, tmp_path: Path
) -> None:
    compressed = recipe(**VARIANTS[variant])
    straight, folder = Pipeline(compressed, EVALUATION, splits, None, CPU), Folder(str(tmp_path))
    while not straight.finished:
        straight.step()
        straight.save(folder.child(compressed.id, "checkpoint"))
        straight.save(folder.child(str(straight.epoch)))
    for epochs in range(1, straight.epoch + 1):
        again = Pipeline(compressed, EVALUATION, splits, None, CPU)
        again.restore(folder.child(str(epochs)))
        while not again.finished:
            again.step()
        assert numbers(again) == numbers(straight)
        assert again.trained().weights == straight.trained().weights
    finished = recover(compressed, folder, splits)
    assert finished.weights == straight.trained().weights
    x = torch.from_numpy(splits.validation.images[:50])
    network = rebuild(compressed, splits, finished.weights)
    plain = Pipeline(recipe(base=compressed), EVALUATION, splits, finished, CPU).model.eval()
    with torch.no_grad():
        expected = network(x)
        if compressed.quantization is None:  # rounding is what a successor does without
            assert torch.allclose(plain(x), expected, atol=1e-4)
    assert {name: value.shape for name, value in plain.named_parameters()} == {
        name: value.shape for name, value in build(Network(name="small"), (1, 8, 8)).named_parameters()
    }
    student = recipe(distillation=Distillation(teacher=compressed), compression=ChannelPruning(pruning_ratio=0.5))
    taught = Pipeline(student, EVALUATION, splits, None, CPU, teacher=finished)
    assert taught.ledger.distillation == 120 * straight.cost.forward
    content = to_onnx(network, (1, 8, 8), Compressors(compressed.methods, seed=compressed.seed))
    apart = np.abs(OnnxModel(content, integer=False).scores(x.numpy()) - expected.numpy())
    assert float(np.median(apart)) < 1e-4


def test_low_rank_layers_are_counted_as_they_are_and_planned(splits: Splits) -> None:
    """Of 3×3 convolutions with 1, 32, 32 and 64 channels in and 32, 32, 64 and 64 out, 30% of the singular values."""
    pipeline = run(recipe(compression=LOW_RANK), EVALUATION, splits, CPU)
    ranks, outs, reads, pixels = [3, 10, 19, 19], [32, 32, 64, 64], [1, 32, 32, 64], [64, 64, 16, 16]
    macs = sum(size * rank * (9 * read + out) for size, rank, read, out in zip(pixels, ranks, reads, outs, strict=True))
    macs += 256 * 64 + 64 * 10
    assert pipeline.metrics()["inference_macs"] == macs
    assert pipeline.metrics()["inference_bitops"] == macs * 1024
    planned = FlopsPlanner(splits, lambda _: pytest.fail("it starts from nothing")).plan(recipe(compression=LOW_RANK))
    assert planned.marginal == pytest.approx(pipeline.metrics()["train_flops"])


def test_masked_weights_stay_zero_while_training(splits: Splits) -> None:
    pipeline = run(recipe(compression=MASKS), EVALUATION, splits, CPU)
    weights = [layer.weight for layer in convolutions(pipeline.model).values()]
    assert all(0.79 < float((weight == 0).float().mean()) < 0.82 for weight in weights)


def test_settings_are_part_of_the_recipe_and_of_its_words() -> None:
    one, other = recipe(compression=LOW_RANK), recipe(compression=LOW_RANK.model_copy(update={"steps": 2}))
    third = COMPRESSION.validate_python({"method": LOW_RANK.method, "settings": {"share": 0.5, "of": [1, True, None]}})
    assert len({one.id, other.id, recipe(compression=third).id, recipe().id}) == 4
    assert Recipe.model_validate_json(one.model_dump_json()) == one
    assert hash(Recipe.model_validate_json(one.model_dump_json())) == hash(one)
    assert LOW_RANK.words() == "tests.support.low_rank:LowRank share 0.3"
    assert other.compression.words() == "tests.support.low_rank:LowRank share 0.3 in 2 steps"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"method": "prune"}, "expected a method out of none, channel_pruning, or module:function"),
        ({"pruning_ratio": 0.5}, "expected a method out of none, channel_pruning, or module:function"),
        ({"method": "a:b", "stepss": 1}, "compression.stepss: unknown key, did you mean steps?"),
        ({"method": "a:b", "steps": 0}, "compression.steps: got 0, expected a number >= 1"),
        ({"method": "a:b", "settings": {"seed": 1}}, "compression.settings: got seed, expected other names"),
        (
            {"method": "a:b", "settings": {"at": {"x": 1}}},
            r"compression.settings.at: got \{'x': 1\}, expected a finite",
        ),
        ({"method": "a:b", "settings": {"at": float("nan")}}, "compression.settings.at: got nan, expected a finite"),
        ({"method": "channel_pruning", "pruning_ratio": 1.5}, "compression.pruning_ratio: got 1.5, expected"),
        ({"method": "a:b", "steps": 9}, "compression.steps: got 9 with 3 epochs, expected at most 3"),
    ],
)
def test_a_wrong_configuration_is_refused_by_its_key(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse(Recipe, recipe().model_dump() | {"compression": given})


def answer(steps: int, seed: int) -> int:
    return 42


def breaks(steps: int, seed: int) -> Compressor:
    raise ZeroDivisionError("no reason")


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("nowhere_at_all:compress", "key.method: got 'nowhere_at_all:compress', which cannot be imported"),
        ("json:loads", "key.method: got 'json:loads', expected a module in the study's folder or"),
        (
            "tests.support.low_rank:LowRank",
            r"key: .*LowRank does not take the keyword.* steps, seed \(.*'share'\) in low_rank.py line ",
        ),
        (f"{__name__}:answer", "key.method: .*answer gave a int without step, attach, plain, bits, deploy; expected"),
        (f"{__name__}:breaks", r"key: .*breaks: fails when it is called \(ZeroDivisionError: no reason\)"),
    ],
)
def test_a_function_that_makes_no_compressor_is_refused_in_words(method: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        user_compressor(UserCompression(method=method), seed=0, where="key")


def fails(number: int, model: nn.Module) -> None:
    raise KeyError("layer")


def draws(number: int, model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).copy_(torch.rand_like(next(model.parameters())))


def diverges(number: int, model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))


def adds(number: int, model: nn.Module) -> None:
    model.set_submodule("0", nn.Conv2d(1, 1, 1))


def pools(number: int, model: nn.Module) -> None:
    model.set_submodule("0", nn.AdaptiveAvgPool2d(2))


class Flawed(Compressor):
    def __init__(self, does: Callable[[int, nn.Module], None]) -> None:
        self._does = does

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        self._does(number, model)


class ForgetsMasks(Masks):
    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Nothing."""


class KeepsNames(LowRank):
    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(state)


class HasNoBits(LowRank):
    def bits(self, layer: nn.Module) -> tuple[int, int]:
        return 0, 32


class CannotDeploy(LowRank):
    def deploy(self, model: nn.Module) -> None:
        raise NotImplementedError("not yet")


FLAWED: dict[str, tuple[Callable[[], Compressor], str]] = {
    "fails": (lambda: Flawed(fails), r"step 1 fails \(KeyError: 'layer'\)"),
    "draws": (lambda: Flawed(draws), "two networks of one seed differ, expected draws by the seed 0 alone"),
    "diverges": (lambda: Flawed(diverges), "scores are not finite"),
    "adds": (lambda: Flawed(adds), r"the network cannot be rebuilt from its weights after step 1 \(attach\)"),
    "pools": (lambda: Flawed(pools), "the network cannot be used after step 1"),
    "forgets": (lambda: ForgetsMasks(0.5, 1, 0), r"cannot be rebuilt from its weights after step 1 \(attach\)"),
    "names": (lambda: KeepsNames(0.5, 1, 0), r"cannot be rebuilt from its weights after step 1 \(attach\)"),
    "bits": (lambda: HasNoBits(0.5, 1, 0), r"bits gave \[0, 32\], expected 1 to 32"),
    "deploy": (lambda: CannotDeploy(0.5, 1, 0), r"deploy fails \(NotImplementedError: not yet\)"),
}


def flawed(which: str, steps: int, seed: int) -> Compressor:
    return FLAWED[which][0]()


@pytest.mark.parametrize("which", FLAWED)
def test_what_does_not_work_on_the_network_is_refused_in_words(which: str) -> None:
    method = UserCompression.model_validate({"method": f"{__name__}:flawed", "settings": {"which": which}})

    def fresh(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        return build(Network(name="small"), (1, 8, 8))

    x, y = torch.rand(8, 1, 8, 8), torch.arange(8)
    with pytest.raises(InvalidInput, match=f"key: {__name__}:flawed which {which}: .*{FLAWED[which][1]}"):
        check_compressed((method,), fresh, x, y, seed=0, where="key")
