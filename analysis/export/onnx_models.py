"""Writes the models of finished trials as ONNX files, and says of each how large, how faithful and how fast it is."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from analysis.export.networks import network_of, recipe_of
from analysis.run.trials import Run, Trial
from trainables.compression.compressor import Compressors
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel, agreement, require_onnx
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

# Is told in words what is being done, how many of its images are, and how many there are; 0: it has no parts.
Doing = Callable[[str, int, int], object]
ACCURACY_TOLERANCE = 0.01  # of clean accuracy, 0–1, beside two images


def write_models(
    run: Run,
    trials: Sequence[Trial],
    output: str,
    check: Callable[[str], object] = lambda fingerprint: None,
    doing: Doing = lambda text, done, total: None,
) -> Iterator[str]:
    """Write an ONNX file for each trial, and yield a line about each file.

    Args:
        run: the run, whose directory holds the checkpoints.
        trials: the finished trials to write.
        output: the file to write. For several trials, or if it is a folder already, it is a folder, in which files are
            named by trial.
        check: is given the fingerprint of the data, and raises if they are not those of the run.
        doing: is told what is done, as it takes seconds.

    Yields:
        Size of the file, its agreement with PyTorch on the validation images, and its latency, in words.

    Raises:
        InvalidInput: the optional packages are missing, a trial's last checkpoint is gone, its network has no ONNX
            form, the file has another accuracy than was recorded, or it cannot be written.
    """
    require_onnx()
    place = Path(output)
    folder = place if len(trials) > 1 or place.is_dir() else None
    data: dict[str, Splits] = {}
    for number, trial in enumerate(trials, 1):
        which = f"{trial.name or trial.id[:8]} ({number} of {len(trials)}): "
        doing(f"{which}writing it", 0, 0)
        recipe = recipe_of(run, trial)
        key = recipe.data.model_dump_json()
        if key not in data:
            data[key] = load_splits(recipe.data)
            check(data[key].fingerprint())
        path = place if folder is None else folder / f"{trial.id}.onnx"
        yield _write_model(run, trial, recipe, data[key], path, partial(doing, f"{which}trying it"))


def _write_model(
    run: Run, trial: Trial, recipe: Recipe, splits: Splits, path: Path, tried: Callable[[int, int], object]
) -> str:
    model, images = network_of(run, trial, recipe, splits), splits.validation.images
    content = to_onnx(model, images.shape[1:], Compressors(recipe.methods, seed=recipe.seed))
    deployed = OnnxModel(content, threads=1)
    check_accuracy(run, trial, deployed, splits)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"--output: {path}: {error.strerror}") from error
    alike = agreement(deployed, model, images, lambda count: tried(count, len(images)))
    took = deployed.latency(images[:1])
    parts = [
        f"{path}: {len(content):,} bytes",
        f"{alike:.2%} of {len(images)} validation images labelled as by PyTorch",
        f"one image in {took.p50:.3f} ms (p50), {took.p95:.3f} ms (p95) on this machine, 1 thread",
    ]
    if recipe.quantization is not None:
        parts.append("its robustness was measured on the fake-quantized model in PyTorch")
    return "; ".join(parts)


def check_accuracy(run: Run, trial: Trial, deployed: OnnxModel, splits: Splits) -> None:
    """Refuse a file whose clean accuracy is not the one that the run recorded: its network was built otherwise.

    Other kernels than those of the training move a few images that lie at a boundary, hence the tolerance.
    """
    recorded = trial.metrics.get("clean_accuracy")
    if recorded is None:
        return
    examples = (run.info.get("evaluation") or {}).get("examples")
    images, labels = splits.validation.images[:examples], splits.validation.labels[:examples]
    found = deployed.accuracy(images, labels)
    if abs(found - recorded) > ACCURACY_TOLERANCE + 2 / len(labels):
        raise InvalidInput(
            f"{run.folder}/trials/{trial.id}: the exported network labels {found:.1%} of the validation images right, "
            f"the run recorded {recorded:.1%}: the code or the data that make the network have changed since"
        )
