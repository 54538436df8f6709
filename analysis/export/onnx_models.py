"""Writes the models of finished trials as ONNX files, and says of each how large, how faithful and how fast it is."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from analysis.run.trials import Run, Trial
from trainables.checkpoints.checkpoint import read_result
from trainables.checkpoints.trained_model import rebuild
from trainables.compression.compressor import Compressors
from trainables.config import parse
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel, agreement, require_onnx
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe


def write_models(run: Run, trials: Sequence[Trial], output: str) -> Iterator[str]:
    """Write an ONNX file for each trial, and yield a line about each file.

    Args:
        run: the run, whose directory holds the checkpoints.
        trials: the finished trials to write.
        output: the file to write. For several trials, or if it is a folder already, it is a folder, in which files are
            named by trial.

    Yields:
        Size of the file, its agreement with PyTorch on the validation images, and its latency, in words.

    Raises:
        InvalidInput: the optional packages are missing, a trial's last checkpoint is gone, its network has no ONNX
            form, or the file cannot be written.
    """
    require_onnx()
    place = Path(output)
    folder = place if len(trials) > 1 or place.is_dir() else None
    data: dict[str, Splits] = {}
    for trial in trials:
        recipe = parse(Recipe, trial.recipe, where=f"{run.folder}/trials/{trial.id}/recipe.json")
        key = recipe.data.model_dump_json()
        if key not in data:
            data[key] = load_splits(recipe.data)
        path = place if folder is None else folder / f"{trial.id}.onnx"
        yield _write_model(run, trial.id, recipe, data[key], path)


def _write_model(run: Run, trial_id: str, recipe: Recipe, splits: Splits, path: Path) -> str:
    checkpoint = run.folder.child("trials", trial_id, "checkpoint")
    weights = read_result(checkpoint, epochs=max(1, recipe.schedule.epochs), best=recipe.keep == "best")
    if weights is None:
        raise InvalidInput(f"{checkpoint}: no whole checkpoint of the last epoch in it, expected the trained weights")
    model, images = rebuild(recipe, splits, weights), splits.validation.images
    content = to_onnx(model, images.shape[1:], Compressors(recipe.methods, seed=recipe.seed))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"--output: {path}: {error.strerror}") from error
    deployed = OnnxModel(content, threads=1)
    took = deployed.latency(images[:1])
    parts = [
        f"{path}: {len(content):,} bytes",
        f"{agreement(deployed, model, images):.2%} of {len(images)} validation images labelled as by PyTorch",
        f"one image in {took.p50:.3f} ms (p50), {took.p95:.3f} ms (p95) on this machine, 1 thread",
    ]
    if recipe.quantization is not None:
        parts.append("its robustness was measured on the fake-quantized model in PyTorch")
    return "; ".join(parts)
