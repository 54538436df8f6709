"""Finds a network that is to be evaluated, with the images and the threat model that it is evaluated on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from analysis.evidence.comparisons import confirmed
from analysis.export.networks import network_of, recipe_of, weights_of
from analysis.export.selection import one_trial
from analysis.pareto.parity import label
from analysis.run.summary import summary
from analysis.run.trials import Run, read_run
from search.evaluating.given import TYPED, data_of, of_onnx, of_weights
from search.reproduce import read_exported
from search.resume.comparison import check_run, compare
from trainables.attacks.config import Norm
from trainables.checkpoints.deployed_model import DeployedModel, deployed_model
from trainables.checkpoints.trained_model import rebuild
from trainables.config import parse
from trainables.data.config import Data
from trainables.data.drawing import drawn
from trainables.data.splits import Examples, Splits, load_splits, load_test
from trainables.errors import InvalidInput, typed_as
from trainables.evaluation.config import ThreatModel
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.user_path import user_path

Split = Literal["validation", "test"]
RUN_FILE = "run.json"
RECIPE, WEIGHTS = "recipe.yaml", "model.safetensors"  # in a folder that `temper export --bundle` wrote


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for.

    Attributes:
        model: `RUN:ID`, a folder that `temper export --bundle` wrote, `module:function` or another network's name, or
            the path of an ONNX file.
        weights: file of weights of a network that is no trial's.
        data: a run whose data are used; a data set's name; `module:function`; or an image folder.
        image_size: height and width of an image folder's images.
        norm, epsilon: threat model; None: that of the run.
        split: which images; None: validation of a run, and test of other data.
        examples: how many images, drawn by class; None: all.
        source: `RUN:ID` of a network whose adversarial examples are tried too.
        force: whether changed code or data of a run are only said.
        pixel_mean, pixel_std: by which pixels are normalized for a known network, by channel, as its weights were
            trained; None: by those of the training images.
    """

    model: str
    weights: str | None = None
    data: str | None = None
    image_size: int | None = None
    norm: Norm | None = None
    epsilon: float | None = None
    split: Split | None = None
    examples: int | None = None
    source: str | None = None
    force: bool = False
    pixel_mean: tuple[float, ...] | None = None
    pixel_std: tuple[float, ...] | None = None


@dataclass(frozen=True, eq=False)
class Subject:
    """A network and what it is evaluated on.

    Attributes:
        name: what it is called.
        model: the network, on the CPU.
        white_box: whether it has gradients.
        images: (n, channels, height, width) in [0, 1].
        labels: (n,).
        split: which images they are.
        threat_model: norm and epsilon.
        source: another network whose adversarial examples are tried too.
        deployed: of a quantized network, the file that it is deployed as.
    """

    name: str
    model: nn.Module
    white_box: bool
    images: Tensor
    labels: Tensor
    split: Split
    threat_model: ThreatModel
    source: nn.Module | None = None
    deployed: DeployedModel | None = None


@dataclass(frozen=True, eq=False)
class _Known:
    """What a run, or a folder that `temper export --bundle` wrote, says beside its networks.

    Attributes:
        data: which data they are about.
        splits: the images.
        evaluation: how recipes were scored.
    """

    data: Data
    splits: Splits
    evaluation: Mapping[str, Any]


def find(wanted: Wanted, say: Callable[[str], object]) -> Subject:
    """Find the network, its images and its threat model.

    Args:
        wanted: what the command line asks for.
        say: prints a line, on what differs without being refused.

    Raises:
        InvalidInput: something of it cannot be found, or is missing.
    """
    place, _, trial = wanted.model.rpartition(":")
    if place and _is_run(place):
        run, known = _known(place, trial, wanted, say)
        found = one_trial(run, trial, confirmed(run))
        recipe = recipe_of(run, found)
        weights = weights_of(run, found, recipe)
        return _of_recipe(
            wanted,
            f"{place}:{found.id[:8]}  {label(found)}",
            recipe,
            rebuild(recipe, known.splits, weights),
            weights,
            known,
        )
    folder = user_path(wanted.model, "MODEL")
    if (folder / RECIPE).is_file():
        return _bundled(wanted, folder, say)
    if _is_run(wanted.model):
        raise InvalidInput(f"{wanted.model}: is a run, expected {wanted.model}:knee or another of its networks")
    with typed_as(TYPED):
        return _given(wanted, say)


def _given(wanted: Wanted, say: Callable[[str], object]) -> Subject:
    """Find a network that no run has made, by what the options say of it and of its images."""
    if wanted.data is None:
        raise InvalidInput(
            f"{wanted.model}: is neither RUN:ID nor a folder that `temper export --bundle` wrote, so --data is needed: "
            "a run, a data set's name, module:function or an image folder"
        )
    about = _known(wanted.data, None, wanted, say)[1] if _is_run(wanted.data) else None
    data = data_of(wanted.data, wanted.image_size) if about is None else about.data
    splits = load_splits(data) if about is None else about.splits
    if wanted.model.endswith(".onnx"):
        model = of_onnx(wanted.model, wanted.weights, say)
        return _subject(wanted, wanted.model, model, about, data, splits, white_box=False)
    pixels = wanted.pixel_mean, wanted.pixel_std
    model = of_weights(wanted.model, wanted.weights, pixels, data, splits, say)
    return _subject(wanted, wanted.model, model, about, data, splits)


def _of_recipe(wanted: Wanted, name: str, recipe: Recipe, model: nn.Module, weights: bytes, known: _Known) -> Subject:
    subject = _subject(wanted, name, model, known, known.data, known.splits)
    if recipe.quantization is None:
        return subject
    return replace(subject, deployed=deployed_model(recipe, known.splits, weights))


def _bundled(wanted: Wanted, folder: Path, say: Callable[[str], object]) -> Subject:
    """Rebuild the network of a bundle from its recipe and weights.

    Raises:
        InvalidInput: weights are missing or are not those of the recipe, the data are not here, or they or the user's
            modules have changed.
    """
    if wanted.data is not None or wanted.weights is not None:
        raise InvalidInput(f"{folder}: holds weights, and a recipe that says the data: --weights and --data go without")
    exported = read_exported(str(folder / RECIPE))
    recipe = exported.recipe
    splits = load_splits(recipe.data)
    found = compare(exported.fingerprint, recipe, splits.fingerprint())
    if not wanted.force:
        found.refuse(str(folder))
    elif found.changed:
        say(f"{folder}: changed since it was written: {', '.join(found.changed)}")
    file = folder / WEIGHTS
    try:
        weights = file.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{file}: {error.strerror}; expected the weights that the recipe made") from error
    try:
        model = rebuild(recipe, splits, weights)
    except (RuntimeError, AttributeError, KeyError, ValueError, SafetensorError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InvalidInput(f"{file}: are not weights of the recipe's network ({reason})") from error
    name = f"{folder}  {summary(recipe.model_dump(mode='json'))}"
    known = _Known(recipe.data, splits, exported.evaluation.model_dump(mode="json"))
    return _of_recipe(wanted, name, recipe, model, weights, known)


def _subject(
    wanted: Wanted,
    name: str,
    model: nn.Module,
    known: _Known | None,
    data: Data,
    splits: Splits,
    *,
    white_box: bool = True,
) -> Subject:
    split: Split = wanted.split or ("test" if known is None else "validation")
    if split == "validation" and known is None:
        raise InvalidInput("--split validation: a data set has none by itself; --data RUN takes that of a run")
    whole: Examples = splits.validation if split == "validation" else load_test(data, splits)
    examples = drawn(whole, wanted.examples)
    images, labels = examples.tensors(torch.device("cpu"))
    source = None
    if wanted.source is not None:
        place, _, trial = wanted.source.rpartition(":")
        if not place or not _is_run(place):
            raise InvalidInput(f"--transfer-from: got {wanted.source!r}, expected RUN:ID of a finished trial")
        run = read_run(Folder(place))
        found = one_trial(run, trial, confirmed(run))
        recipe = recipe_of(run, found)
        source = network_of(run, found, recipe, load_splits(recipe.data))
    return Subject(name, model, white_box, images, labels, split, _threat_model(wanted, known), source)


def _is_run(place: str) -> bool:
    try:
        return RUN_FILE in Folder(place).names()
    except (OSError, ValueError, InvalidInput):
        return False


def _known(place: str, trial: str | None, wanted: Wanted, say: Callable[[str], object]) -> tuple[Run, _Known]:
    """Read a run and its data, and refuse it if the user's code or data have changed since.

    Args:
        place: its folder.
        trial: the trial whose data are used; None: those of any, the study's.
        wanted: what the command line asks for.
        say: prints a line.
    """
    run = read_run(Folder(place))
    check_run(run, lambda text: None, force=True)  # puts the study's modules on the path, for the recipe's functions
    if not run.trials:
        raise InvalidInput(f"{place}: no recipe in it, so nothing says which data it is about")
    chosen = run.trials[0] if trial is None else one_trial(run, trial, confirmed(run))
    data = recipe_of(run, chosen).data
    splits = load_splits(data)
    check_run(run, say, force=wanted.force, data=splits.fingerprint())
    return run, _Known(data, splits, run.info.get("evaluation") or {})


def _threat_model(wanted: Wanted, known: _Known | None) -> ThreatModel:
    recorded = {} if known is None else known.evaluation
    norm, epsilon = wanted.norm or recorded.get("norm", "linf"), wanted.epsilon
    if epsilon is None and norm == recorded.get("norm", norm):
        epsilon = recorded.get("epsilon")
    if epsilon is None:
        raise InvalidInput(f"--epsilon: is needed, since no run says which one is meant in the norm {norm}")
    return parse(ThreatModel, {"norm": norm, "epsilon": epsilon}, where="threat model")
