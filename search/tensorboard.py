"""TensorBoard event files, derived from a run directory: curves by trial, and of the search as a whole."""

import tempfile
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from analysis.frontier import hypervolume_history
from analysis.trials import Run, Trial
from trainables.storage import Folder

CURVES = {
    "loss": "train/loss",
    "learning_rate": "train/learning_rate",
    "clean_accuracy": "validation/clean_accuracy",
    "robust_accuracy": "validation/robust_accuracy",
    "train_flops": "compute/train_flops",
    "end_to_end_flops": "compute/end_to_end_flops",
}


def write_tensorboard(run: Run) -> None:
    """Rebuild tensorboard/: one folder a trial, and `search` with hypervolume and frontier size by trial."""
    target = run.folder.child("tensorboard")
    target.remove()
    with tempfile.TemporaryDirectory() as place:
        for trial in run.trials:
            if trial.history:
                _write_trial(Path(place) / _label(trial), trial, [one["metric"] for one in run.info["objectives"]])
        _write_search(Path(place) / "search", run)
        _copy(Path(place), target)


def _label(trial: Trial) -> str:
    """A name that sorts by order of proposing; ids and names are safe as folder names."""
    return f"{trial.number:04d}-{trial.name or trial.role}-{trial.id}"


def _write_trial(folder: Path, trial: Trial, objectives: list[str]) -> None:
    with SummaryWriter(str(folder)) as writer:
        for row in trial.history:
            for key, tag in CURVES.items():
                if row.get(key) is not None:
                    writer.add_scalar(tag, row[key], row["epoch"])
        if trial.metrics:
            results = {f"objective/{name}": trial.metrics[name] for name in objectives}
            for summary in hparams(_hyperparameters(trial), results):  # type: ignore[no-untyped-call]
                writer._get_file_writer().add_summary(summary)
            for tag, value in results.items():
                writer.add_scalar(tag, value, int(trial.metrics["epochs"]))


def _hyperparameters(trial: Trial) -> dict[str, Any]:
    """The searched parts of a recipe, flat, so that fixed recipes stand in the same table as proposals."""
    recipe = trial.recipe
    flat: dict[str, Any] = {"role": trial.role, "seed": recipe["seed"]}
    for group in ("compression", "perturbation", "schedule"):
        flat |= {f"{group}.{key}": value for key, value in recipe[group].items() if value is not None}
    return flat


def _write_search(folder: Path, run: Run) -> None:
    with SummaryWriter(str(folder)) as writer:
        for step, row in enumerate(hypervolume_history(run).to_dict("records"), start=1):
            writer.add_scalar("search/hypervolume", row["hypervolume"], step)
            writer.add_scalar("search/frontier_size", row["frontier_size"], step)


def _copy(source: Path, target: Folder) -> None:
    for path in sorted(source.rglob("*")):
        if path.is_file():
            target.child(*path.relative_to(source).parent.parts).write(path.name, path.read_bytes())
