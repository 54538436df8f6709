"""Training in micro-batches: the same gradient, and one more try where memory runs out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray.tune.utils.util import flatten_dict
from torch import nn

from trainables.attacks.config import FGSM, PGD, NoPerturbation
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.errors import TemperError
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.execution.memory import MICRO_BATCHES, limit_memory, out_of_memory
from trainables.execution.pipeline import Pipeline
from trainables.execution.report import Report
from trainables.losses.config import Trades
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import FreeLoop, OrdinaryLoop, Schedule
from trainables.storage import Folder
from trainables.trainable import Allotment, RecipeTrainable, Setting

DATA = Data(name="digits", train_size=50, validation_size=40)
EVALUATION = ScoringProtocol(epsilon=0.1, steps=1)
CPU, ON_CPU = torch.device("cpu"), Allotment(1, 0.0, "cpu")


def without_batch_norm(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(256, classes))


def recipe_of(**changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "data": DATA,
        "model": Network(name=f"{__name__}:without_batch_norm"),
        "perturbation": NoPerturbation(),
        "schedule": Schedule(epochs=2, learning_rate=0.05, batch_size=24),
    }
    return Recipe(**settings | changes)


def trained(recipe: Recipe, parts: int) -> Pipeline:
    pipeline = Pipeline(recipe, EVALUATION, load_splits(DATA), None, CPU, micro_batches=parts)
    while not pipeline.finished:
        pipeline.step()
    return pipeline


def test_memory_errors_are_told_from_others() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**52)
    assert str(out_of_memory(caught.value)).startswith("out of memory: [enforce fail")
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory")) == "out of memory: CUDA out of memory"
    assert out_of_memory(MemoryError()) == "out of memory: MemoryError"
    for text in (
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    ):
        assert out_of_memory(RuntimeError(text)) == f"out of memory: {text}"
    assert out_of_memory(RuntimeError("CUDA error: device-side assert triggered")) is None
    assert out_of_memory(RuntimeError("shapes cannot be multiplied")) is None


@pytest.mark.parametrize(
    "changes",
    [
        {},  # batches of 24, 24 and 2, so that parts are unequal
        {"perturbation": FGSM(epsilon=0.1), "loop": FreeLoop(replays=2)},
    ],
)
def test_without_batch_norm_parts_add_up_to_the_same_training(changes: dict[str, Any]) -> None:
    whole, parts = trained(recipe_of(**changes), 1), trained(recipe_of(**changes), 3)
    for one, other in zip(whole.model.parameters(), parts.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    assert parts.ledger.end_to_end == whole.ledger.end_to_end > 0
    assert [row["micro_batches"] for row in parts.history] == [3, 3]
    assert whole.metrics()["micro_batches"] == 1
    assert parts.metrics()["micro_batches"] == 3


@pytest.mark.parametrize("loss", [Trades(beta=2.0)])
def test_parts_are_attacked_too_and_cost_the_same(loss: Trades) -> None:
    recipe = recipe_of(perturbation=PGD(epsilon=0.1, steps=2), loss=loss, loop=OrdinaryLoop())
    whole, parts = trained(recipe, 1), trained(recipe, 4)
    assert parts.ledger.end_to_end == whole.ledger.end_to_end
    losses = [pipeline.history[0]["loss"] for pipeline in (whole, parts)]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)  # of other noise


class ObjectCache:
    """Nothing builds on these recipes."""

    def put(self, name: str, content: Any) -> None:
        raise TemperError("not asked for")


class Greedy(nn.Module):
    """Needs more memory than there is for more images than `most`."""

    most = 0

    def __init__(self) -> None:
        super().__init__()
        self.inner = without_batch_norm((), 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return self.inner(x)  # type: ignore[no-any-return]


def greedy(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    return Greedy()


class Wide(nn.Module):
    """Takes 17 MB of memory for each image of 8 by 8 pixels, and twice that while it computes."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.linspace(-1, 1, 2**16).view(1, -1, 1, 1))
        self.head = nn.Linear(2**16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(x * self.scale).mean((2, 3)))  # type: ignore[no-any-return]


def wide(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    return Wide()


@pytest.fixture(autouse=True)
def _no_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node"))


def results(place: Path, network: str = "greedy", share: Allotment = ON_CPU) -> list[Report]:
    recipe = recipe_of(model=Network(name=f"{__name__}:{network}"))
    shares = {"proposed": share}
    setting = Setting(EVALUATION, Folder(str(place)), bases=frozenset(), teachers=frozenset(), shares=shares)
    trial = RecipeTrainable.__new__(RecipeTrainable)
    trial.setup(
        {"role": "proposed", "recipe": recipe.model_dump(mode="json")}, setting, load_splits(DATA), ObjectCache()
    )
    made: list[Report] = []
    while not made or made[-1].ending is None:
        made.append(Report.of_result(flatten_dict(trial.step())))
    return made


def test_a_trial_out_of_memory_goes_on_in_micro_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Greedy, "most", 6)
    first, last = results(tmp_path)
    assert first.row["micro_batches"] == last.row["micro_batches"] == MICRO_BATCHES
    assert last.ending == FINISHED
    metrics = last.metrics
    assert metrics["micro_batches"] == MICRO_BATCHES
    # The first epoch was begun twice.
    assert metrics["spent_flops"] - metrics["train_flops"] == first.row["end_to_end_flops"]


@pytest.mark.gpu
def test_a_trial_goes_on_in_micro_batches_where_its_share_of_a_card_is_used_up(tmp_path: Path) -> None:
    """Its batches of 24 take 1.8 GB, and 40 images are scored in 1 GB and more, as was measured."""
    card = torch.device("cuda")
    try:
        share = 1.5e9 / torch.cuda.get_device_properties(card).total_memory
        first, last = results(tmp_path, "wide", Allotment(1, share, "cuda"))
        assert first.row["micro_batches"] == last.row["micro_batches"] == MICRO_BATCHES
        assert last.ending == FINISHED
        (tmp_path / "less").mkdir()
        (only,) = results(tmp_path / "less", "wide", Allotment(1, share / 2, "cuda"))
        assert only.ending is not None
        assert only.ending.kind == EndKind.OUT_OF_MEMORY
    finally:
        limit_memory(card, 1.0)
        torch.cuda.empty_cache()


def test_a_trial_that_does_not_fit_in_micro_batches_either_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Greedy, "most", 5)
    (only,) = results(tmp_path)
    reason = "out of memory: CUDA out of memory. Tried to allocate, in 4 micro-batches as well"
    assert only.ending == Ending(EndKind.OUT_OF_MEMORY, reason)
    assert not only.row


def test_a_resumed_trial_stays_in_micro_batches(tmp_path: Path) -> None:
    folder, splits = Folder(str(tmp_path)), load_splits(DATA)
    pipeline = Pipeline(recipe_of(), EVALUATION, splits, None, CPU, micro_batches=2)
    pipeline.step()
    pipeline.save(folder)
    again = Pipeline(recipe_of(), EVALUATION, splits, None, CPU)
    again.restore(folder)
    assert again.step()["micro_batches"] == 2
