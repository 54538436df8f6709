"""Names the networks with their recipes, trains them, and loads them as they were attacked.

What is attacked is what lies in `weights/`: the trained tensors, matrices and kernels rounded to half precision, so
that every machine attacks the same networks although each would train slightly other ones.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from trainables.checkpoints.trained_model import TrainedModel, rebuild
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.standalone import run
from trainables.recipe.recipe import Recipe

WEIGHTS = Path(__file__).parent / "weights"
PLAIN, STRIDED, RESIDUAL = (
    "small",
    "tests.benchmarks.autoattack.models:strided",
    "tests.benchmarks.autoattack.models:residual",
)
DATA: Mapping[str, tuple[dict[str, Any], float]] = {  # by the first part of a network's name: its data and its epsilon
    "digits": ({"name": "digits", "validation_size": 497}, 0.2),
    "fashion": ({"name": "fashion_mnist", "train_size": 3000, "validation_size": 1000}, 0.05),
}


def _pgd(steps: int, epsilon: float) -> dict[str, Any]:
    return {"kind": "pgd", "epsilon": epsilon, "steps": steps}


def _fast(epsilon: float) -> dict[str, Any]:
    return {"kind": "n_fgsm", "epsilon": epsilon}


def _prune(ratio: float, importance: str = "l1", scope: str = "uniform") -> dict[str, Any]:
    return {"method": "channel_pruning", "pruning_ratio": ratio, "importance": importance, "scope": scope}


def _bits(bits: int) -> dict[str, Any]:
    return {"weight_bits": bits, "activation_bits": bits}


# network → perturbation, epochs, highest learning rate, what else differs from an ordinary network from scratch
_RECIPES: Mapping[str, tuple[dict[str, Any], int, float, dict[str, Any]]] = {
    "digits/reference": (_pgd(7, 0.2), 20, 0.2, {}),
    "digits/short": (_pgd(7, 0.2), 10, 0.05, {}),
    "digits/fast": (_fast(0.2), 20, 0.03, {}),
    "digits/fast_short": (_fast(0.2), 5, 0.03, {}),
    "digits/averaged": (_pgd(7, 0.2), 20, 0.1, {"averaging": 0.98}),
    "digits/trades": (_pgd(5, 0.2), 15, 0.1, {"loss": {"kind": "trades", "beta": 6.0}}),
    "digits/pruned_from_scratch": (_pgd(7, 0.2), 20, 0.1, {"compression": _prune(0.5)}),
    "digits/pruned_45": (_pgd(2, 0.2), 17, 0.06, {"compression": _prune(0.45), "base": True}),
    "digits/pruned_65": (_pgd(4, 0.22), 12, 0.1, {"compression": _prune(0.65, "l2"), "base": True}),
    "digits/pruned_80": (_pgd(2, 0.2), 17, 0.06, {"compression": _prune(0.8), "base": True}),
    "digits/pruned_80_short": (_pgd(2, 0.2), 8, 0.1, {"compression": _prune(0.8), "base": True}),
    "digits/pruned_75_fast": (_fast(0.2), 5, 0.1, {"compression": _prune(0.75, scope="global"), "base": True}),
    "digits/smoothed": (
        _pgd(3, 0.2), 12, 0.1,
        {"compression": _prune(0.7), "base": True, "loss": {"kind": "cross_entropy", "label_smoothing": 0.2}},
    ),
    "digits/w8a8": (_pgd(3, 0.2), 10, 0.1, {"compression": _prune(0.5), "base": True, "quantization": _bits(8)}),
    "digits/w4a4": (_pgd(3, 0.2), 12, 0.05, {"base": True, "quantization": _bits(4)}),
    "digits/strided": (_pgd(5, 0.15), 25, 0.1, {"model": STRIDED}),
    "digits/residual": (_pgd(5, 0.2), 20, 0.1, {"model": RESIDUAL}),
    "fashion/pruned_50": (_pgd(3, 0.05), 8, 0.1, {"compression": _prune(0.5), "base": True}),
    "fashion/pruned_70": (_pgd(2, 0.05), 12, 0.1, {"compression": _prune(0.7), "base": True}),
    "fashion/pruned_70_fast": (_fast(0.05), 12, 0.1, {"compression": _prune(0.7, "l2"), "base": True}),
    "fashion/pruned_80": (_pgd(2, 0.05), 12, 0.1, {"compression": _prune(0.8), "base": True}),
    "fashion/pruned_80_fast": (_fast(0.05), 6, 0.1, {"compression": _prune(0.8), "base": True}),
    "fashion/pruned_80_weak": (_fast(0.03), 4, 0.1, {"compression": _prune(0.8), "base": True}),
    "fashion/pruned_90": (_pgd(2, 0.06), 12, 0.2, {"compression": _prune(0.9), "base": True}),
    "fashion/w8a8": (_pgd(2, 0.05), 8, 0.1, {"compression": _prune(0.75), "base": True, "quantization": _bits(8)}),
    "fashion/w4a4": (_pgd(2, 0.05), 8, 0.05, {"compression": _prune(0.75), "base": True, "quantization": _bits(4)}),
    "fashion/strided": (_pgd(5, 0.05), 20, 0.05, {"model": STRIDED}),
    "fashion/strided_fast": (_fast(0.05), 12, 0.05, {"model": STRIDED}),
    "fashion/strided_trades": (_pgd(5, 0.05), 15, 0.05, {"model": STRIDED, "loss": {"kind": "trades", "beta": 6.0}}),
    "fashion/residual": (_pgd(5, 0.05), 15, 0.1, {"model": RESIDUAL}),
    "fashion/residual_averaged": (_pgd(3, 0.05), 15, 0.1, {"model": RESIDUAL, "averaging": 0.98}),
    "fashion/residual_w8a8": (_pgd(2, 0.05), 8, 0.1, {"model": RESIDUAL, "quantization": _bits(8)}),
    "fashion/plain": (_pgd(2, 0.05), 6, 0.1, {}),
}  # fmt: skip
NAMES = tuple(_RECIPES)


@dataclass(frozen=True)
class Subject:
    """One network as it was attacked, and what it was attacked on.

    Attributes:
        model: the network, in eval mode; it is loaded to the CPU.
        images: validation images (n, channels, height, width) in [0, 1].
        labels: their labels (n,).
        epsilon: radius of the L-infinity ball.
    """

    model: nn.Module
    images: Tensor
    labels: Tensor
    epsilon: float

    def to(self, device: torch.device) -> "Subject":
        """Moves network, images and labels to a device."""
        return replace(self, model=self.model.to(device), images=self.images.to(device), labels=self.labels.to(device))


def recipe(name: str) -> Recipe:
    """Returns the recipe of a network, with its base if it has one."""
    perturbation, epochs, rate, other = _RECIPES[name]
    schedule = {"epochs": epochs, "learning_rate": rate, "averaging": other.get("averaging")}
    shared = {"data": DATA[name.split("/")[0]][0], "model": {"name": other.get("model", PLAIN)}}
    base = {**shared, "schedule": {"epochs": 5, "learning_rate": 0.05}} if "base" in other else None
    rest = {key: other[key] for key in ("compression", "quantization", "loss") if key in other}
    return Recipe.model_validate({**shared, "base": base, "perturbation": perturbation, "schedule": schedule, **rest})


def subject(name: str) -> Subject:
    """Loads a network from `weights/`, and the images that it was attacked on."""
    splits = _splits(name.split("/")[0])
    tensors = {key: value.float() if value.is_floating_point() else value for key, value in _stored(name).items()}
    images, labels = splits.validation.tensors(torch.device("cpu"))
    return Subject(rebuild(recipe(name), splits, save_tensors(tensors)), images, labels, DATA[name.split("/")[0]][1])


def train(name: str) -> None:
    """Trains a network and writes its tensors to `weights/`; a base is trained once a process."""
    wanted, splits = recipe(name), _splits(name.split("/")[0])
    base = None if wanted.base is None else _base(wanted.base)
    trained = run(wanted, _evaluation(name), splits, torch.device("cpu"), base).trained()
    tensors = {
        key: value.half() if value.is_floating_point() and value.ndim >= 2 else value
        for key, value in load_tensors(trained.weights).items()
    }
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(save_tensors(tensors))


def path_of(name: str) -> Path:
    """Where the tensors of a network lie."""
    return WEIGHTS / f"{name}.safetensors"


def _stored(name: str) -> dict[str, Tensor]:
    return load_tensors(path_of(name).read_bytes())


def _evaluation(name: str) -> ScoringProtocol:
    return ScoringProtocol(
        epsilon=DATA[name.split("/")[0]][1], progress_examples=1, progress_steps=1, examples=1, steps=1
    )


@cache
def _base(recipe: Recipe) -> TrainedModel:
    evaluation = ScoringProtocol(epsilon=0.1, progress_examples=1, progress_steps=1, examples=1, steps=1)
    return run(recipe, evaluation, load_splits(recipe.data), torch.device("cpu")).trained()


@cache
def _splits(data: str) -> Splits:
    return load_splits(Data.model_validate(DATA[data][0]))
