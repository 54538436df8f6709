"""Writes a bundle: one trial's model as a folder that is used without Temper, its models checked in a fresh process."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import torch
from jinja2 import Environment
from safetensors.torch import save
from torch import nn

from analysis.bundle.card import card
from analysis.bundle.checks import check_files, check_program
from analysis.bundle.deployed import deploy, reference_of, timed
from analysis.evidence.comparisons import Confirmed
from analysis.export.networks import network_of, recipe_of
from analysis.export.onnx_models import Doing, check_accuracy
from analysis.export.recipes import render
from analysis.run.trials import Run, Trial
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_runtime import require_onnx
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

FILES = {
    "model.onnx": "the network for onnxruntime and others; integers where it was trained at 8 bits or fewer",
    "model.pt2": "the network as a program of torch.export",
    "model.safetensors": "its weights, by their names in the network",
    "predict.py": "classifies image files",
    "config.json": "shape of an image, and the names of the classes",
    "recipe.yaml": "how it was made: `temper reproduce recipe.yaml` trains it again",
}


def write_bundles(
    run: Run,
    trials: Sequence[Trial],
    output: str,
    confirmed: Mapping[str, Confirmed],
    check: Callable[[str], object] = lambda fingerprint: None,
    doing: Doing = lambda text, done, total: None,
) -> Iterator[str]:
    """Write a folder for each trial, and yield lines about each.

    Args:
        run: the run, whose directory holds the checkpoints.
        trials: the finished trials to write.
        output: the folder; for several trials, one that holds a folder for each, named by its id.
        confirmed: what confirmations found, by the trials' ids.
        check: is given the fingerprint of the data, and raises if they are not those of the run.
        doing: is told what is done, as it takes seconds.

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


def _of(which: str, doing: Doing) -> Doing:
    return lambda text, done, total: doing(which + text, done, total)


def _write(
    run: Run,
    trial: Trial,
    recipe: Recipe,
    splits: Splits,
    folder: Path,
    confirmed: Mapping[str, Confirmed],
    doing: Doing,
) -> list[str]:
    doing("writing model.onnx and model.pt2", 0, 0)
    network, images = network_of(run, trial, recipe, splits), splits.validation.images
    here = deploy(trial, recipe, network, images.shape[1:])
    check_accuracy(run, trial, here.model, splits)
    (folder / "model.onnx").write_bytes(here.onnx)
    if here.program is not None:
        (folder / "model.pt2").write_bytes(here.program)
    (folder / "model.safetensors").write_bytes(
        save({name: one.contiguous() for name, one in _tensors(network).items()})
    )
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
    alike = check_files(
        folder, network, images, lambda count: doing("trying every file in a fresh process", count, len(images))
    )
    check_program(folder, images[0], int(here.model.scores(images[:1])[0].argmax()))
    doing("timing them beside the reference", 0, 0)
    there, no_reference = reference_of(run, trial)
    rows = timed(here, there, images[:1])
    checks = {name: f"{share:.2%} of {len(images):,} validation images alike" for name, share in alike.items()}
    shown = [(name, what, checks.get(name, "")) for name, what in FILES.items() if (folder / name).exists()]
    told = [one.in_card for one in rows]
    content = card(run, trial, confirmed, splits, labels, told, shown, here.no_program)
    (folder / "README.md").write_text(content, encoding="utf-8")
    lines = [
        f"  {name}: {(folder / name).stat().st_size:,} bytes, {words}, in a fresh process"
        for name, words in checks.items()
    ]
    if here.no_program:
        lines.append(f"  model.pt2 is left out: {here.no_program}")
    lines += [f"  one image in {one.in_words}" for one in rows if one.in_words]
    return [*lines, f"  p50 and p95 on this machine, 1 thread; {no_reference or 'timed in turn'}"]


def _tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and buffers, each with memory of its own, as safetensors wants them."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}
