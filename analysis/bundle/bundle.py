"""Writes a bundle: one trial's model as a folder that is used without Temper, its models checked in a fresh process."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from jinja2 import Environment
from PIL import Image
from safetensors.torch import save
from torch import nn

from analysis.bundle.card import card
from analysis.evidence.comparisons import Confirmed
from analysis.export.networks import network_of, recipe_of
from analysis.export.onnx_models import check_accuracy
from analysis.export.recipes import render
from analysis.run.trials import Run, Trial
from trainables.compression.compressor import Compressors
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import Latency, OnnxModel, latencies, require_onnx
from trainables.deployment.torch_export import to_program
from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.recipe.recipe import Recipe

ALIKE = 0.99  # share of the validation images that a file must label as the trained network does
IMAGES = 1_000  # validation images, at most, on which files are compared
BATCH = 256  # images per pass
FILES = {
    "model.onnx": "the network for onnxruntime and others; integers where it was trained at 8 bits or fewer",
    "model.pt2": "the network as a program of torch.export",
    "model.safetensors": "its weights, by their names in the network",
    "predict.py": "classifies image files",
    "config.json": "shape of an image, and the names of the classes",
    "recipe.yaml": "how it was made: `temper reproduce recipe.yaml` trains it again",
}


@dataclass(frozen=True)
class Deployed:
    """A network as a file of onnxruntime's.

    Attributes:
        content: the file.
        model: the same, opened.
        trial: whose network it is.
    """

    content: bytes
    model: OnnxModel
    trial: Trial


def write_bundles(
    run: Run,
    trials: Sequence[Trial],
    output: str,
    confirmed: Mapping[str, Confirmed],
    check: Callable[[str], object] = lambda fingerprint: None,
    doing: Callable[[str], object] = lambda text: None,
) -> Iterator[str]:
    """Write a folder for each trial, and yield lines about each.

    Args:
        run: the run, whose directory holds the checkpoints.
        trials: the finished trials to write.
        output: the folder; for several trials, one that holds a folder for each, named by its id.
        confirmed: what confirmations found, by the trials' ids.
        check: is given the fingerprint of the data, and raises if they are not those of the run.
        doing: is told in words what is done next, as it takes seconds.

    Raises:
        InvalidInput: the optional packages are missing, a checkpoint is gone, the network has no ONNX form, a file does
            not do what the trained network does, or the folder is not empty or cannot be written.
    """
    require_onnx()
    for number, trial in enumerate(trials, 1):
        which = f"{trial.name or trial.id[:8]} ({number} of {len(trials)}): "
        folder = Path(output) if len(trials) == 1 else Path(output) / trial.id
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise InvalidInput(f"--bundle: {folder}: is there already, expected a folder that is new or empty")
        recipe = recipe_of(run, trial)
        splits = load_splits(recipe.data)
        check(splits.fingerprint())
        try:
            with _in_whole(folder) as place:
                lines = _write(run, trial, recipe, splits, place, confirmed, _of(which, doing))
            yield f"{folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}"
        except OSError as error:
            raise InvalidInput(f"--bundle: {folder}: {error.strerror or error}") from error
        yield from lines


@contextmanager
def _in_whole(folder: Path) -> Iterator[Path]:
    """Give a place in which to write the files of a folder, new or empty; they move there once all is well.

    Where an error ends the context, none of them is left. The place is inside the folder, which may be a file system of
    its own.
    """
    is_new, place = not folder.exists(), folder / ".partial"
    try:
        place.mkdir(parents=True)
        yield place
        for path in place.iterdir():
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
        with suppress(OSError):  # it holds the bundle
            if is_new:
                folder.rmdir()


def _of(which: str, doing: Callable[[str], object]) -> Callable[[str], object]:
    return lambda text: doing(which + text)


def _write(
    run: Run,
    trial: Trial,
    recipe: Recipe,
    splits: Splits,
    folder: Path,
    confirmed: Mapping[str, Confirmed],
    doing: Callable[[str], object],
) -> list[str]:
    doing("writing model.onnx, and trying it on the validation images")
    network, images = network_of(run, trial, recipe, splits), splits.validation.images
    deployed = _deployed(trial, recipe, network, images.shape[1:])
    check_accuracy(run, trial, deployed.model, splits)
    (folder / "model.onnx").write_bytes(deployed.content)
    (folder / "model.safetensors").write_bytes(
        save({name: one.contiguous() for name, one in _tensors(network).items()})
    )
    no_program = ""
    doing("writing model.pt2")
    try:
        (folder / "model.pt2").write_bytes(to_program(network, images.shape[1:]))
    except InvalidInput as problem:
        no_program = str(problem).removeprefix("model.name: ")
    labels = [splits.name_of(number) for number in range(splits.classes)]
    (folder / "config.json").write_text(
        json.dumps({"image_shape": images.shape[1:], "labels": labels}, indent=1) + "\n"
    )
    (folder / "predict.py").write_text(
        Environment(autoescape=False, keep_trailing_newline=True)  # a program, not a page
        .from_string((files("analysis.bundle") / "assets" / "predict.py.j2").read_text(encoding="utf-8"))
        .render(shape=tuple(images.shape[1:]))
    )
    (folder / "recipe.yaml").write_text(render([trial], run, "yaml", confirmed), encoding="utf-8")
    doing("trying every file in a fresh process")
    alike = _checked(folder, deployed.model, network, images[:IMAGES])
    doing("timing it beside the reference")
    reference = _reference(run, trial)
    times = latencies([one.model for one in (deployed, reference) if one], images[:1])
    checks = {
        name: f"{share:.2%} of {min(len(images), IMAGES)} validation images alike" for name, share in alike.items()
    }
    shown = [(name, what, checks.get(name, "")) for name, what in FILES.items() if (folder / name).exists()]
    content = card(
        run, trial, confirmed.get(trial.id), splits, labels, _sizes(deployed, reference, times), shown, no_program
    )
    (folder / "README.md").write_text(content, encoding="utf-8")
    lines = [
        f"  {name}: {(folder / name).stat().st_size:,} bytes, {words}, in a fresh process"
        for name, words in checks.items()
    ]
    if no_program:
        lines.append(f"  model.pt2 is left out: {no_program}")
    beside = "there is no other network of a reference to compare with"
    if reference is not None:
        took = f"{times[1].p50:.3f} and {times[1].p95:.3f} ms"
        beside = f"{reference.trial.name}: {took}, {len(reference.content):,} bytes"
    took = f"{times[0].p50:.3f} ms (p50), {times[0].p95:.3f} ms (p95) on this machine, 1 thread"
    return [*lines, f"  one image in {took}; {beside}"]


def _deployed(trial: Trial, recipe: Recipe, network: nn.Module, shape: tuple[int, ...]) -> Deployed:
    content = to_onnx(network, shape, Compressors(recipe.methods, seed=recipe.seed))
    return Deployed(content, OnnxModel(content, threads=1), trial)


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and buffers, each with memory of its own, as safetensors wants them."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _reference(run: Run, trial: Trial) -> Deployed | None:
    """Return the reference's network, to compare bytes and latency with; None where there is none, or it is gone."""
    if run.reference is None or run.reference.id == trial.id:
        return None
    recipe = recipe_of(run, run.reference)
    splits = load_splits(recipe.data)
    try:
        network = network_of(run, run.reference, recipe, splits)
    except InvalidInput:
        return None  # its weights were dropped
    return _deployed(run.reference, recipe, network, splits.validation.images.shape[1:])


def _checked(
    folder: Path, model: OnnxModel, network: nn.Module, images: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> dict[str, float]:
    """Return how alike each file labels the images, measured in a fresh process.

    Raises:
        InvalidInput: a file cannot be loaded there, labels images otherwise, or predict.py does not run, or says
            something else of an image file than of the same pixels.
    """
    with frozen(network), torch.no_grad():
        parts = torch.split(torch.from_numpy(np.ascontiguousarray(images)), BATCH)
        expected = torch.cat([network(part) for part in parts]).numpy()
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "expected.npz"
        np.savez(kept, images=images, expected=expected)
        shown = _image_files(images[0], Path(place))
        found: dict[str, float] = json.loads(_run("-m", "analysis.bundle.fresh", str(folder), str(kept)))
        predicted = _run(str(folder / "predict.py"), *map(str, shown)).splitlines()
    worst = min(found, key=lambda name: found[name])
    if found[worst] < ALIKE:
        raise InvalidInput(
            f"--bundle: {worst}: labels {found[worst]:.1%} of the validation images as the trained network "
            f"does, expected {ALIKE:.0%}"
        )
    labels = json.loads((folder / "config.json").read_text())["labels"]
    said = [line.removeprefix(str(path)) for line, path in zip(predicted, shown, strict=True)]
    label = labels[int(model.scores(images[:1])[0].argmax())]
    if not re.match(rf"  {re.escape(label)} \d\.\d{{3}}(  |$)", said[0]):
        raise InvalidInput(f"--bundle: predict.py: says {said[0]!r} of a validation image, expected {label} first")
    if len(set(said[1:])) > 1:
        raise InvalidInput(f"--bundle: predict.py: says {said[2]!r} of an image file, expected {said[1]!r}")
    return found


def _image_files(image: np.ndarray[tuple[int, ...], np.dtype[np.float32]], place: Path) -> list[Path]:
    """Write an image as an array, and, where a picture can hold it, in eight bits as an array and as a picture."""
    written = [place / "image.npy"]
    np.save(written[0], image)
    if len(image) in (1, 3):
        pixels = (image * 255).round().astype(np.uint8)
        written += [place / "rounded.npy", place / "rounded.png"]
        np.save(written[1], pixels / np.float32(255))
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(written[2])
    return written


def _run(*arguments: str) -> str:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no words").splitlines()[-1]
        raise InvalidInput(f"--bundle: a fresh process cannot use what was written ({last})")
    return done.stdout


def _sizes(deployed: Deployed, reference: Deployed | None, times: Sequence[Latency]) -> list[tuple[str, str, str]]:
    """Return rows of the card: what is compared, of this network, and of the reference."""
    pairs = [(len(deployed.content), times[0])]
    pairs += [(len(reference.content), times[1])] if reference is not None else []
    cells = [(f"{size:,}", f"{took.p50:.3f} / {took.p95:.3f} ms") for size, took in pairs]
    cells += [("", "")] if reference is None else []
    return [
        ("bytes of model.onnx", cells[0][0], cells[1][0]),
        ("latency of one image, p50 / p95, one thread, on the machine that wrote this", cells[0][1], cells[1][1]),
    ]
