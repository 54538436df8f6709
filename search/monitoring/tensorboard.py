"""Writes TensorBoard event files: curves and images of trials, live or rebuilt from the record, and the search's."""

import io
import json
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from analysis.pareto.frontier import frontier
from analysis.pareto.growth import hypervolume_history
from analysis.run.trials import Run
from analysis.tables.trials import some_of
from search.events import Listener, Outcome, Proposal, Row
from trainables.evaluation.attacked_images import AttackedImages, in_a_row
from trainables.evaluation.metrics import METRICS
from trainables.execution.ending import Ending, State
from trainables.storage import Folder

NAME = "tensorboard"
FRONTIER = "frontier.png"  # in the folder of figures
MOST = 1_000  # trials of which all are rebuilt
CURVES = {one.name: one.curve for one in METRICS.values() if one.curve is not None}


class LiveCurves(Listener):
    """Writes each trial's curves while it runs, if the run directory is a local path that can be written.

    It is a context manager that closes the files on exit. `write_tensorboard` rebuilds the same files from trials/ when
    the search ends, so one that cannot be written now, as on a full disk, does not matter.
    """

    live_only: ClassVar[bool] = True

    def __init__(self, folder: Folder, objectives: tuple[str, ...]) -> None:
        self._root, self._objectives = folder.child(NAME).local, objectives
        self._trials = folder.child("trials")
        self._writers: dict[str, SummaryWriter] = {}

    def __enter__(self) -> Self:
        self._hook = threading.excepthook
        threading.excepthook = self._of_a_thread
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            with suppress(OSError):
                writer.close()
        threading.excepthook = self._hook

    def _of_a_thread(self, failed: threading.ExceptHookArgs) -> None:
        """Keep quiet of a file that TensorBoard's thread cannot write; it raises the same in the thread that asked."""
        if not (isinstance(failed.exc_value, OSError) and type(failed.thread).__module__.startswith("tensorboard")):
            self._hook(failed)

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        if self._root is None:
            return
        recipe = proposal.recipe
        with suppress(OSError):
            if recipe.id not in self._writers:
                label = _label(proposal.number, proposal.name or proposal.role, recipe.id)
                self._writers[recipe.id] = SummaryWriter(str(self._root / label))
            _write_row(self._writers[recipe.id], row)
            self._writers[recipe.id].flush()

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        writer = self._writers.pop(proposal.recipe.id, None)
        if writer is not None:
            with suppress(OSError), writer:
                if outcome.metrics:
                    recipe = proposal.recipe.model_dump(mode="json")
                    _write_end(writer, proposal.role, recipe, outcome.metrics, self._objectives)
                    _write_images(writer, self._trials.child(proposal.recipe.id), int(outcome.metrics["epochs"]))


def write_tensorboard(run: Run) -> None:
    """Rebuild tensorboard/: one folder for each trial that has ended, and `search` with the curves over trials.

    The folders of trials that still run are left as they are. Of more than `MOST` trials only some are rebuilt: those
    on the frontier, fixed recipes and an even draw of the others; TensorBoard could not show all of them.
    """
    target = run.folder.child(NAME)
    objectives = tuple(one["metric"] for one in run.info["objectives"])
    with tempfile.TemporaryDirectory() as place:
        for trial in some_of(run, {trial.id for trial in frontier(run)}, MOST):
            if trial.history and trial.state is not State.RUNNING:
                with SummaryWriter(
                    str(Path(place) / _label(trial.number, trial.name or trial.role, trial.id))
                ) as writer:
                    for row in trial.history:
                        _write_row(writer, row)
                    if trial.metrics:
                        _write_end(writer, trial.role, trial.recipe, trial.metrics, objectives)
                        _write_images(writer, run.folder.child("trials", trial.id), int(trial.metrics["epochs"]))
        _write_search(Path(place) / "search", run)
        for folder in sorted(Path(place).iterdir()):
            target.child(folder.name).remove()
            for path in sorted(folder.iterdir()):
                target.child(folder.name).write(path.name, path.read_bytes())


def _label(number: int, name: str, trial_id: str) -> str:
    """Return a trial's folder name, which sorts by order of proposing. Ids and names are safe as folder names."""
    return f"{number:04d}-{name}-{trial_id}"


def _write_row(writer: SummaryWriter, row: Row) -> None:
    for key, tag in CURVES.items():
        if row.get(key) is not None:
            writer.add_scalar(tag, row[key], row["epoch"])


def _write_end(
    writer: SummaryWriter, role: str, recipe: dict[str, Any], metrics: Mapping[str, float], objectives: tuple[str, ...]
) -> None:
    """Write the row of a finished trial in TensorBoard's HParams table."""
    results = {f"objective/{name}": metrics[name] for name in objectives}
    for summary in hparams(_hyperparameters(role, recipe), results):  # type: ignore[no-untyped-call]  # torch left it untyped
        writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]  # as above
    for tag, value in results.items():
        writer.add_scalar(tag, value, int(metrics["epochs"]))


def _write_images(writer: SummaryWriter, trial: Folder, epoch: int) -> None:
    """Write a few validation images above what the attack made of them, if the trial has kept any."""
    kept = AttackedImages.read(trial)
    if kept is not None:
        both = np.concatenate([in_a_row(kept.images), in_a_row(kept.attacked)])
        writer.add_image("images, and under attack", both, epoch, dataformats="HWC")


def _hyperparameters(role: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a recipe that can be searched, flat, so that one table holds fixed recipes and proposals."""
    flat: dict[str, Any] = {"role": role, "seed": recipe["seed"]}
    for group in ("compression", "quantization", "perturbation", "loss", "loop", "schedule"):
        flat |= _flat(group, recipe[group] or {})
    return flat


def _flat(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """Return nested values under dotted names, e.g. the settings of a user's compression method."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(f"{name}.{key}", value)
        elif value is not None:
            flat[f"{name}.{key}"] = _shown(value)
    return flat


def _shown(value: Any) -> Any:
    """Return a value in a form that TensorBoard accepts; a list among the settings of a user's method becomes JSON."""
    return value if isinstance(value, bool | int | float | str) else json.dumps(value)


def _write_search(folder: Path, run: Run) -> None:
    with SummaryWriter(str(folder)) as writer:
        for step, row in enumerate(hypervolume_history(run).to_dict("records"), start=1):
            writer.add_scalar("search/hypervolume", row["hypervolume"], step)
            writer.add_scalar("search/frontier_size", row["frontier_size"], step)
        figures = run.folder.child("figures")
        if figures.exists(FRONTIER):
            picture = np.asarray(Image.open(io.BytesIO(figures.read(FRONTIER))).convert("RGB"))
            writer.add_image("frontier", picture, len(run.trials), dataformats="HWC")
