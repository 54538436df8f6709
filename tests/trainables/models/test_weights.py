"""A user's own trained weights: every usual form of file, and what is refused."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

from trainables.attacks.config import NFGSM
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import ChannelPruning
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput
from trainables.evaluation.config import Evaluation
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network, Weights
from trainables.models.weights import load_weights, sealed
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

CPU, SHAPE = torch.device("cpu"), (1, 8, 8)
DATA = Data(name="digits", train_size=200, validation_size=100)
EVALUATION = Evaluation(epsilon=0.2, steps=3, progress_steps=1)
AS_IT_IS = Schedule(epochs=0, learning_rate=1.0)


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(DATA)


def small(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return build(Network(name="small"), SHAPE).eval()


@pytest.mark.parametrize("form", ["safetensors", "state_dict", "checkpoint of a parallel model"])
def test_usual_files_are_loaded(form: str, tmp_path: Path) -> None:
    theirs, ours, path = small(1), small(2), tmp_path / "weights.bin"
    if form == "safetensors":
        save_file({name: value.contiguous() for name, value in theirs.state_dict().items()}, path)
    elif form == "state_dict":
        torch.save(theirs.state_dict(), path)
    else:
        parallel = {f"module.{name}": value for name, value in theirs.state_dict().items()}
        torch.save({"epoch": 3, "state_dict": parallel}, path)
    x = torch.rand(4, *SHAPE)
    assert not torch.equal(ours(x), theirs(x))
    load_weights(ours, sealed(Weights(path=str(path))))
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28)])
def test_a_torchvision_network_need_not_know_of_the_normalization(shape: tuple[int, ...], tmp_path: Path) -> None:
    theirs = resnet18(num_classes=10).eval()
    torch.save(theirs.state_dict(), tmp_path / "resnet.pt")
    ours = build(Network(name="torchvision:resnet18"), shape).eval()
    load_weights(ours, Weights(path=str(tmp_path / "resnet.pt")))
    x = torch.rand(2, *shape)
    assert torch.allclose(ours(x), theirs(x.expand(-1, 3, -1, -1)), atol=1e-4)


class Hostile:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, ("touch unpickled",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no tensors", "neither safetensors nor a state_dict"),
        (pickle.dumps(Hostile(), protocol=2), "neither safetensors nor a state_dict"),
        (None, "No such file or directory"),
    ],
)
def test_other_files_are_refused(
    content: bytes | None, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("weights.pt").write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        load_weights(small(0), Weights(path="weights.pt"))
    assert not Path("unpickled").exists()


def test_other_networks_and_changed_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pt"
    torch.save(nn.Linear(3, 2).state_dict(), path)
    with pytest.raises(InvalidInput, match=r"missing 1.weight, .* unknown bias, weight"):
        load_weights(small(0), Weights(path=str(path)))
    torch.save(build(Network(name="small"), SHAPE, classes=7).state_dict(), path)
    with pytest.raises(InvalidInput, match=r"tensors of another shape: 18.weight \(7, 64\) for \(10, 64\)"):
        load_weights(small(0), Weights(path=str(path)))
    before = sealed(Weights(path=str(path)))
    torch.save({"model": [1, 2]}, path)
    with pytest.raises(InvalidInput, match="is another file than the one of sha256"):
        load_weights(small(0), before)
    with pytest.raises(InvalidInput, match="holds no state_dict"):
        load_weights(small(0), Weights(path=str(path)))


def test_weights_taken_as_they_are_cost_nothing_and_can_be_a_base(splits: Splits, tmp_path: Path) -> None:
    ordinary = Recipe(data=DATA, model=Network(name="small"), schedule=Schedule(epochs=2, learning_rate=0.05))
    source = run(ordinary, EVALUATION, splits, CPU)
    path = tmp_path / "base.safetensors"
    path.write_bytes(source.trained().weights)
    base = ordinary.model_copy(update={"weights": sealed(Weights(path=str(path))), "schedule": AS_IT_IS})
    taken = run(base, EVALUATION, splits, CPU)
    for name in ("robust_accuracy", "clean_accuracy", "inference_macs"):
        assert taken.metrics()[name] == source.metrics()[name]
    assert (taken.ledger.marginal, taken.ledger.end_to_end) == (0, 0)
    assert taken.metrics()["epochs"] == 0
    assert taken.history[0]["loss"] is None
    tuned = base.model_copy(
        update={
            "weights": None,
            "base": base,
            "compression": ChannelPruning(pruning_ratio=0.5),
            "perturbation": NFGSM(epsilon=0.2),
            "schedule": Schedule(epochs=1, learning_rate=0.05),
        }
    )
    same = tuned.model_copy(update={"base": ordinary})
    given = run(tuned, EVALUATION, splits, CPU)
    trained = run(same, EVALUATION, splits, CPU)
    assert given.metrics()["robust_accuracy"] == trained.metrics()["robust_accuracy"]
    assert given.ledger.marginal == trained.ledger.marginal == given.ledger.end_to_end
    assert trained.ledger.base > 0


def test_what_is_taken_as_it_is_survives_a_restart(splits: Splits, tmp_path: Path) -> None:
    from trainables.storage import Folder

    torch.save(small(3).state_dict(), tmp_path / "base.pt")
    recipe = Recipe(
        data=DATA, model=Network(name="small"), weights=Weights(path=str(tmp_path / "base.pt")), schedule=AS_IT_IS
    )
    first = run(recipe, EVALUATION, splits, CPU)
    first.save(Folder(str(tmp_path / "checkpoint")))
    second = Pipeline(recipe, EVALUATION, splits, None, CPU)
    assert not second.finished
    second.restore(Folder(str(tmp_path / "checkpoint")))
    assert second.finished
    assert second.metrics()["robust_accuracy"] == first.metrics()["robust_accuracy"]
    assert isinstance(second.trained(), TrainedModel)


def test_no_epochs_without_weights_and_no_weights_beside_a_base() -> None:
    plain = {"data": DATA.model_dump(), "model": {"name": "small"}, "schedule": AS_IT_IS.model_dump()}
    with pytest.raises(ValueError, match="got 0 without base or weights, expected at least 1"):
        Recipe.model_validate(plain)
    trained = plain | {"schedule": {"epochs": 1, "learning_rate": 0.1}}
    with pytest.raises(ValueError, match="got a file and a base, expected one of them"):
        Recipe.model_validate(trained | {"weights": {"path": "x"}, "base": trained})
