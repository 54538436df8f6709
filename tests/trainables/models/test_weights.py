"""A user's own trained weights: every usual form of file is loaded."""

import argparse
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import mnasnet0_5, resnet18

from trainables.attacks.config import NFGSM
from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.config import ChannelPruning
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline, set_conditions
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network, Weights
from trainables.models.weights import load_weights, sealed
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

CPU, SHAPE = torch.device("cpu"), (1, 8, 8)
DATA = Data(name="digits", train_size=200, validation_size=100)
EVALUATION = ScoringProtocol(epsilon=0.2, steps=3, progress_steps=1)
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


def theirs_and_ours(kind: str = "small") -> tuple[nn.Module, nn.Module]:
    """Two networks of one architecture with different weights, in eval mode."""
    made = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        made.append(build(Network(name=kind), SHAPE).eval())
    return made[0], made[1]


State = dict[str, torch.Tensor]


def prefixed(prefix: str) -> Callable[[State], Any]:
    return lambda state: {prefix + name: value for name, value in state.items()}


def moved(state: State, by: float) -> State:
    return {name: value + by for name, value in state.items()}


FORMS: dict[str, Callable[[State], Any]] = {
    "data parallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "compiled in data parallel": prefixed("module._orig_mod."),
    "data parallel, then compiled": prefixed("_orig_mod.module."),
    "averaged model of data parallel": lambda state: (
        prefixed("module.module.")(state) | {"n_averaged": torch.tensor(7)}
    ),
    "sharded": prefixed("_fsdp_wrapped_module."),
    "lightning": lambda state: {
        "state_dict": prefixed("model.")(state),
        "epoch": 3,
        "hyper_parameters": {"lr": 0.1},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}}],
    },
    "lightning with weights of its loss": lambda state: {
        "state_dict": prefixed("net.")(state) | {"criterion.weight": torch.ones(10)}
    },
    "somebody's own prefix": prefixed("detector.backbone."),
    "each layer compiled": lambda state: {
        f"{name.rpartition('.')[0]}._orig_mod.{name.rpartition('.')[2]}": value for name, value in state.items()
    },
    "a part in data parallel": lambda state: {
        name.replace("1.", "1.module.", 1) if name.startswith("1.") else name: value for name, value in state.items()
    },
    "kuangliu's": lambda state: {"net": prefixed("module.")(state), "acc": 91.2, "epoch": 3},
    "wrapped twice": lambda state: {"checkpoint": {"model": state}, "loss": torch.tensor(0.3)},
    "of timm": lambda state: {
        "arch": "small",
        "state_dict": moved(state, 1.0),
        "args": argparse.Namespace(lr=0.1),
        "metric": np.float64(91.2),
        "state_dict_ema": state,
    },
    "of torchvision's scripts": lambda state: {
        "model": moved(state, 1.0),
        "model_ema": prefixed("module.")(state) | {"n_averaged": torch.tensor(7)},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}, "param_groups": []},
    },
    "averaged parameters without buffers": lambda state: {
        "model": state,
        "ema": {name: value + 1 for name, value in state.items() if "running" not in name},
    },
    "under a key of somebody's own": lambda state: {"best_model": state, "history": {"loss": [0.3]}, "epoch": 3},
    "beside what scripts keep to go on": lambda state: {
        "model": state,
        "losses": np.array([0.3, 0.2]),
        "random": np.random.RandomState(0).get_state(),
        "folder": Path("here"),
        "begun": datetime(2026, 11, 30),
        "taken": timedelta(seconds=3),
    },
    "under keys of somebody's own": lambda state: {
        "state": {"model": prefixed("module.")(state)},
        "rng": {"torch": {}},
    },
    "sparse": lambda state: {name: value.to_sparse() if value.dim() == 2 else value for name, value in state.items()},
    "double precision": lambda state: {name: value.double() for name, value in state.items()},
    "before PyTorch counted batches": lambda state: {
        name: value for name, value in state.items() if not name.endswith("num_batches_tracked")
    },
    "counted by thop": lambda state: (
        state | {"total_ops": torch.zeros(1), "total_params": torch.zeros(1), "4.total_ops": torch.zeros(1)}
    ),
    "with heads that the network has not": lambda state: (
        state | {"aux1.fc.weight": torch.zeros(2, 2), "AuxLogits.conv0.conv.weight": torch.zeros(2, 2)}
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_that_people_have_are_loaded(form: str, tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours()
    torch.save(FORMS[form](dict(theirs.state_dict())), tmp_path / "weights.pt")
    x = torch.rand(4, *SHAPE)
    assert not torch.equal(ours(x), theirs(x))
    load_weights(ours, Weights(path=str(tmp_path / "weights.pt")))
    assert torch.equal(ours(x), theirs(x))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_numbers_of_16_bits_are_loaded_into_numbers_of_32(dtype: torch.dtype, tmp_path: Path) -> None:
    theirs, ours = theirs_and_ours()
    half = {
        name: value.to(dtype) if value.is_floating_point() else value for name, value in theirs.state_dict().items()
    }
    save_file({name: value.contiguous() for name, value in half.items()}, tmp_path / "weights.safetensors")
    load_weights(ours, Weights(path=str(tmp_path / "weights.safetensors")))
    for name, value in ours.state_dict().items():
        assert value.dtype == theirs.state_dict()[name].dtype
        assert torch.equal(value, half[name].to(value.dtype))


def test_networks_that_ask_for_the_versions_of_their_layers_are_loaded(tmp_path: Path) -> None:
    theirs = mnasnet0_5(num_classes=10).eval()
    save_file({name: value.contiguous() for name, value in theirs.state_dict().items()}, tmp_path / "m.safetensors")
    ours = build(Network(name="torchvision:mnasnet0_5"), (3, 32, 32)).eval()
    load_weights(ours, Weights(path=str(tmp_path / "m.safetensors")))
    x = torch.rand(2, 3, 32, 32)
    assert torch.allclose(ours(x), theirs(x), atol=1e-4)


class Tied(nn.Module):
    """Two layers that share their weight, behind a wrapper of the user's own."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 8))
        self.net[3].weight = self.net[1].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.net(x)
        return out


def test_a_shared_tensor_may_be_stored_once_and_the_networks_own_prefix_may_be_missing(tmp_path: Path) -> None:
    theirs, ours = Tied(), Tied()
    state = {name.removeprefix("net."): value for name, value in theirs.state_dict().items()}
    del state["3.weight"]
    save_file(state, tmp_path / "weights.safetensors")
    load_weights(ours, Weights(path=str(tmp_path / "weights.safetensors")))
    x = torch.rand(2, 8)
    assert torch.equal(ours(x), theirs(x))
    assert ours.net[3].weight is ours.net[1].weight


def test_a_networks_own_names_are_never_taken_for_a_wrappers(tmp_path: Path) -> None:
    def network() -> nn.Module:
        return nn.ModuleDict({"module": nn.Linear(2, 2), "aux1": nn.Linear(2, 2), "criterion": nn.Linear(2, 2)})

    theirs, ours = network(), network()
    torch.save(theirs.state_dict(), tmp_path / "weights.pt")
    load_weights(ours, Weights(path=str(tmp_path / "weights.pt")))
    for name, value in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


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
