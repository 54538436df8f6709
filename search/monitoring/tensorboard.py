"""Writes TensorBoard event files: curves and images of trials, live or rebuilt from the record, and the search's."""

import io
import itertools
import json
import os
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, BinaryIO, ClassVar, Self

import numpy as np
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import DataType, Experiment, HParamInfo, MetricInfo, MetricName, Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from tensorboard.summary.writer.record_writer import RecordWriter

from analysis.pareto.frontier import frontier
from analysis.pareto.growth import hypervolume_history
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from analysis.tables.trials import some_of
from search.events import Listener, Outcome, Proposal, Row
from trainables.evaluation.attacked_images import AttackedImages, in_a_row
from trainables.evaluation.metrics import METRICS
from trainables.execution.ending import Ending, State
from trainables.storage import Folder, for_each

NAME = "tensorboard"
FRONTIER = "frontier.png"  # in the folder of figures
MOST = 1_000  # trials of which all are rebuilt
_TYPES = {
    "bool": DataType.DATA_TYPE_BOOL,
    "number": DataType.DATA_TYPE_FLOAT64,
    "string": DataType.DATA_TYPE_STRING,
}
Values = Mapping[str, bool | float | str]  # of a recipe's parts, by name
_NUMBERS = itertools.count()  # of the event files of this process
CURVES = {one.name: one.curve for one in METRICS.values() if one.curve is not None}


class EventFile:
    """Writes TensorBoard's events to a file, each at once.

    PyTorch's SummaryWriter hands them to a thread of its own for each file, which takes four times as long, and whose
    errors, as of a full disk, nobody catches. The messages are TensorBoard's own, so `temper report` needs no PyTorch,
    whose import and end were four of its ten seconds.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Begin an empty file that is open for writing; it is closed if it cannot be written."""
        self._records = RecordWriter(file)
        try:
            self._write(Event(file_version="brain.Event:2"))
        except OSError:
            file.close()
            raise

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Add a point of each curve, by its tag; all in one record, whose checksum TensorBoard computes in Python."""
        self._add([Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()], step)

    def image(self, tag: str, pixels: np.ndarray[Any, Any], step: int) -> None:
        """Add a picture, `(height, width, channels)`, uint8, with 1 channel (grey) or 3 (RGB)."""
        height, width, channels = pixels.shape
        png = io.BytesIO()
        Image.fromarray(pixels[..., 0] if channels == 1 else pixels).save(png, format="PNG")
        made = Summary.Image(height=height, width=width, colorspace=channels, encoded_image_string=png.getvalue())
        self._add([Summary.Value(tag=tag, image=made)], step)

    def hyperparameters(self, values: Values) -> None:
        """Add a row of TensorBoard's HParams table."""
        start = SessionStartInfo()
        for name, value in values.items():
            setattr(start.hparams[name], f"{_kind(value)}_value", value)
        self._hparams(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=start))
        end = SessionEndInfo(status=Status.STATUS_SUCCESS)
        self._hparams(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))

    def columns(self, rows: Iterable[Values], results: Iterable[str]) -> None:
        """Add the columns of the HParams table: those that any row has, and the tags of the scalars that are results.

        A logdir needs them once: of several, TensorBoard takes any. Without them it shows the columns of all rows, and
        every scalar as a result.
        """
        kinds: dict[str, str] = {}
        for row in rows:
            for name, value in row.items():
                kind = _kind(value)
                kinds[name] = kind if kinds.get(name, kind) == kind else "string"
        experiment = Experiment(
            hparam_infos=[HParamInfo(name=name, type=_TYPES[kind]) for name, kind in kinds.items()],
            metric_infos=[MetricInfo(name=MetricName(tag=tag)) for tag in results],
        )
        self._hparams(metadata.EXPERIMENT_TAG, HParamsPluginData(experiment=experiment))

    def _hparams(self, tag: str, content: Any) -> None:
        self._add([Summary.Value(tag=tag, metadata=metadata.create_summary_metadata(content))])

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _add(self, values: Sequence[Any], step: int = 0) -> None:
        self._write(Event(summary=Summary(value=values), step=step))

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())


def _kind(value: bool | float | str) -> str:
    """Return the name of a value's type in the HParams table."""
    return "bool" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"


def file_name() -> str:
    """Return a new event file's name, by which TensorBoard knows it for one; of a folder's files it sorts as newest."""
    return f"events.out.tfevents.{time.time():010.0f}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"


class LiveCurves(Listener):
    """Writes each trial's curves while it runs, if the run directory is a local path that can be written.

    It is a context manager that closes the files on exit. `write_tensorboard` rebuilds the same files from trials/ when
    the search ends, so one that cannot be written now, as on a full disk, does not matter.
    """

    live_only: ClassVar[bool] = True

    def __init__(self, folder: Folder, objectives: tuple[str, ...]) -> None:
        self._root, self._objectives = folder.child(NAME).local, objectives
        self._trials = folder.child("trials")
        self._files: dict[str, EventFile] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            with suppress(OSError):
                file.close()

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        if self._root is None:
            return
        recipe = proposal.recipe
        with suppress(OSError):
            if recipe.id not in self._files:
                place = self._root / _label(proposal.number, proposal.name or proposal.role, recipe.id)
                for one in (self._root, place):  # the run's own folder is not made anew
                    one.mkdir(exist_ok=True)
                self._files[recipe.id] = EventFile((place / file_name()).open("wb", buffering=0))
            _write_row(self._files[recipe.id], row)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        file = self._files.pop(proposal.recipe.id, None)
        if file is not None:
            with suppress(OSError), closing(file):
                if outcome.metrics:
                    recipe = proposal.recipe.model_dump(mode="json")
                    _write_end(file, proposal.role, recipe, outcome.metrics, self._objectives)
                    _write_images(file, self._trials.child(proposal.recipe.id), int(outcome.metrics["epochs"]))


def write_tensorboard(run: Run) -> None:
    """Rebuild tensorboard/: one folder for each trial that has ended, and `search` with the curves over trials.

    The folders of trials that still run are left as they are. Of more than `MOST` trials only some are rebuilt: those
    on the frontier, fixed recipes and an even draw of the others; TensorBoard could not show all of them.
    """
    objectives = tuple(one["metric"] for one in run.info["objectives"])

    def rebuild(trial: Trial) -> None:
        made = io.BytesIO()
        file = EventFile(made)
        for row in trial.history:
            _write_row(file, row)
        if trial.metrics:
            _write_end(file, trial.role, trial.recipe, trial.metrics, objectives)
            _write_images(file, run.folder.child("trials", trial.id), int(trial.metrics["epochs"]))
        _replace(run.folder, _label(trial.number, trial.name or trial.role, trial.id), made)

    shown = some_of(run, {trial.id for trial in frontier(run)}, MOST)
    rebuilt = [one for one in shown if one.history and one.state is not State.RUNNING]
    for_each(run.folder, rebuild, rebuilt)
    made = io.BytesIO()
    file = EventFile(made)
    rows = [_hyperparameters(one.role, one.recipe) for one in rebuilt if one.metrics]
    file.columns(rows, [_objective(name) for name in objectives])
    _write_search(file, run)
    _replace(run.folder, "search", made)


def _replace(run: Folder, label: str, made: io.BytesIO) -> None:
    """Write one of the folders anew, with one event file."""
    place = run.child(NAME, label)
    place.remove()
    place.write(file_name(), made.getvalue())


def _label(number: int, name: str, trial_id: str) -> str:
    """Return a trial's folder name, which sorts by order of proposing. Ids and names are safe as folder names."""
    return f"{number:04d}-{name}-{trial_id}"


def _write_row(file: EventFile, row: Row) -> None:
    file.scalars({tag: row[key] for key, tag in CURVES.items() if row.get(key) is not None}, row["epoch"])


def _write_end(
    file: EventFile, role: str, recipe: dict[str, Any], metrics: Mapping[str, float], objectives: tuple[str, ...]
) -> None:
    """Write the row of a finished trial in TensorBoard's HParams table."""
    file.hyperparameters(_hyperparameters(role, recipe))
    file.scalars({_objective(name): metrics[name] for name in objectives}, int(metrics["epochs"]))


def _objective(name: str) -> str:
    """Return the tag of an objective's scalar."""
    return f"objective/{name}"


def _write_images(file: EventFile, trial: Folder, epoch: int) -> None:
    """Write a few validation images above what the attack made of them, if the trial has kept any."""
    kept = AttackedImages.read(trial)
    if kept is not None:
        both = np.concatenate([in_a_row(kept.images), in_a_row(kept.attacked)])
        file.image("images, and under attack", both, epoch)


def _hyperparameters(role: str, recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the parts of a recipe that can be searched, flat, so that one table holds fixed recipes and proposals."""
    base, soft = recipe["base"], dict(recipe["distillation"] or {})
    flat: dict[str, Any] = {"role": role, "seed": recipe["seed"], "from_base": base is not None}
    if base is not None:
        flat["pretraining_epochs"] = base["schedule"]["epochs"]
    if soft:
        soft["teacher"] = "base" if soft["teacher"] is None else summary(soft["teacher"])
        flat |= _flat("distillation", soft)
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


def _write_search(file: EventFile, run: Run) -> None:
    for step, row in enumerate(hypervolume_history(run).to_dict("records"), start=1):
        file.scalars({f"search/{name}": row[name] for name in ("hypervolume", "frontier_size")}, step)
    figures = run.folder.child("figures")
    if figures.exists(FRONTIER):
        picture = np.asarray(Image.open(io.BytesIO(figures.read(FRONTIER))).convert("RGB"))
        file.image("frontier", picture, len(run.trials))
