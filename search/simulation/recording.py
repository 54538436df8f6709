"""Records the learning curves of every recipe of a finite space, out of a run, in one small file for `temper simulate`.

The file is a Parquet table with one row for each recipe and epoch; the study is in its metadata.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml
from optuna.trial import FixedTrial
from pyarrow import parquet

from analysis.export.output_file import write_output
from analysis.run.trials import Run, Trial
from analysis.run.users_parts import users_parts
from search.recipes.choosers import combinations
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.study.loading import parse_resolved
from search.study.study import Study
from search.surrogate.cost_model import OWN_FLOPS
from trainables.config import YamlDumper, parse
from trainables.errors import InvalidInput
from trainables.evaluation.metrics import COMPUTE, METRICS
from trainables.execution.ending import Ending, State
from trainables.recipe.recipe import Recipe

STUDY, FINGERPRINT = b"study", b"fingerprint"
ROW = tuple(one.name for one in METRICS.values() if one.recorded and one.each_epoch)
FINAL = tuple(one.name for one in METRICS.values() if one.recorded and one.final)
# The keys in which a simulated study may differ from the recorded one: how it searches, and for which objectives.
FREE = {"name", "description", "seed", "sampler", "budget", "halving", "first", "objectives", "constraints"}


FREE |= {"resources", "parity_margin", "reference_point"}


@dataclass(frozen=True)
class Curve:
    """The learning curve of one recipe, and how its trial ended.

    Attributes:
        rows: one row for each epoch, as in a trial's history.
        reason: why the trial ended early, in words; None if it finished.
        metrics: final numbers; empty if it ended early.
        preparation: seconds before the first epoch.
    """

    rows: tuple[Mapping[str, Any], ...]
    reason: str | None
    metrics: Mapping[str, float]
    preparation: float

    @property
    def ending(self) -> Ending:
        """How the trial ended, as read from the words of the reason, since recordings keep nothing else of it."""
        state = State.COMPLETE if self.reason is None else State.PRUNED
        return Ending.of_record(None, state, self.reason)

    def planned(self, compute: str) -> float:
        """Return the planned FLOPs of the whole schedule; `compute` is `train_flops` or `end_to_end_flops`."""
        return float(self.rows[-1][f"planned_{compute}"])

    def foreseen(self, names: Iterable[str], dense: Mapping[str, float]) -> dict[str, float]:
        """Return metrics that follow from the recipe before it runs, and what it will spend itself (`OWN_FLOPS`).

        Args:
            names: the metrics, of `trainables.evaluation.metrics.FORESEEN`.
            dense: final numbers of the reference, whose size stands for that of a recipe that ended early.
        """
        known = {
            name: self.planned(name) if name in COMPUTE else float(self.metrics.get(name, dense[name]))
            for name in names
        }
        return {OWN_FLOPS: self.planned("train_flops"), **known}


@dataclass(frozen=True)
class Recording:
    """The learning curves of a study's recipes.

    Attributes:
        study: the study that was recorded.
        curves: the curves by the name of a fixed recipe, or by a proposal's parameters as JSON.
        fingerprint: the user's parts of the run's fingerprint; empty in recordings of versions before 0.3.0.
    """

    study: Study
    curves: Mapping[str, Curve]
    fingerprint: Mapping[str, str] = field(default_factory=dict)

    def of(self, study: Study) -> dict[Recipe, Curve]:
        """Return the curve of every recipe that a study may run. The study's seed may differ from the recorded one.

        Raises:
            InvalidInput: the study differs in more than how it searches, so that its recipes were not recorded.
        """
        other = [
            key for key in Study.model_fields if key not in FREE and getattr(study, key) != getattr(self.study, key)
        ]
        if other:
            raise InvalidInput(*(f"{key}: differs from what was recorded, expected the same" for key in other))
        fixed = FixedRecipes.of(study)
        found = {one.recipe: self.curves[one.name] for one in fixed}
        for key, curve in self.curves.items():
            if key.startswith("{"):
                found[propose(FixedTrial(json.loads(key)), study, fixed)] = curve
        return found


def shipped() -> dict[str, Path]:
    """Return the files of the recordings that come with Temper, by name."""
    folder = Path(str(files("search.simulation") / "recordings"))
    return {path.stem: path for path in sorted(folder.glob("*.parquet"))}


def record(
    run: Run, study: Study, doing: Callable[[str, int, int], object] = lambda text, done, total: None
) -> Recording:
    """Make a recording of a run that went through the whole of a finite space.

    Args:
        run: the run.
        study: its study.
        doing: is told what is done, how much of it is, and how much there is.

    Raises:
        InvalidInput: the space is not finite, recipes of it are missing or unfinished, or the study has halving, a grid
            or a searched length of pretraining.
    """
    if study.halving is not None:
        raise InvalidInput(f"{run.folder}: was run with halving, expected every recipe to its end")
    if study.grid is not None or (study.space and study.space.pretraining_epochs is not None):
        raise InvalidInput(f"{run.folder}: has a grid or searches pretraining_epochs, expected neither to record")
    fixed = FixedRecipes.of(study)
    wanted, space = {}, list(combinations(study, fixed))
    for number, params in enumerate(space, 1):
        wanted[propose(FixedTrial(params), study, fixed)] = _key(params)
        doing("making the recipes of the space", number, len(space))
    wanted |= {one.recipe: one.name for one in fixed}
    ended = [one for one in run.trials if one.state in (State.COMPLETE, State.PRUNED) and one.history]
    found = {}
    for number, trial in enumerate(ended, 1):
        found[Recipe.model_validate(trial.recipe)] = _curve(trial)
        doing("recording the curves of trials", number, len(ended))
    missing = len(set(wanted) - set(found))
    if missing:
        raise InvalidInput(f"{run.folder}: {missing} of {len(wanted)} recipes have no result, expected all of them")
    plain = study.model_dump(mode="json", exclude={"sampler", "budget", "resources", "first"})
    curves = {key: found[recipe] for recipe, key in wanted.items()}
    return Recording(parse(Study, plain), curves, users_parts(run.info.get("fingerprint", {})))


def write(recording: Recording, path: Path) -> None:
    """Write a recording as one file. Raises InvalidInput: it cannot be written."""
    rows = []
    for key, curve in recording.curves.items():
        rows += [{"recipe": key, **{name: row[name] for name in ROW}} for row in curve.rows]
        rows[-1]["end"] = json.dumps(
            {"reason": curve.reason, "metrics": dict(curve.metrics), "preparation": curve.preparation}
        )
    table = pa.Table.from_pandas(pd.DataFrame(rows), preserve_index=False)
    text = yaml.dump(recording.study.model_dump(mode="json"), Dumper=YamlDumper, sort_keys=False)
    told = {STUDY: text.encode(), FINGERPRINT: json.dumps(dict(recording.fingerprint)).encode()}
    content = BytesIO()
    parquet.write_table(table.replace_schema_metadata(told), content, compression="zstd")
    write_output(path, "--output", content.getvalue())


def read(source: str) -> Recording:
    """Read a shipped recording by its name, or any recording by its path.

    Raises:
        InvalidInput: there is no such recording, or the file is not one.
    """
    path = shipped().get(source, Path(source))
    try:
        table = parquet.read_table(path)
        metadata = table.schema.metadata or {}
        text = metadata[STUDY].decode()
    except (OSError, pa.ArrowException, KeyError, UnicodeDecodeError):
        known = ", ".join(shipped())
        raise InvalidInput(
            f"{source}: no such recording, expected a file that was recorded, or one of: {known}"
        ) from None
    study = parse_resolved(text, source)
    curves = {}
    try:
        fingerprint = dict(json.loads(metadata.get(FINGERPRINT, b"{}")))
        for key, rows in table.to_pandas().groupby("recipe", sort=False):
            end = json.loads(rows["end"].iloc[-1])
            epochs = rows[list(ROW)].astype(object).where(rows[list(ROW)].notna(), None).to_dict("records")
            history = tuple({"epoch": number, **row} for number, row in enumerate(epochs, start=1))
            curves[str(key)] = Curve(history, end["reason"], end["metrics"], end["preparation"])
    except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
        raise InvalidInput(f"{source}: not a recording, expected a file that `temper record` wrote ({error})") from None
    return Recording(study, curves, fingerprint)


def _curve(trial: Trial) -> Curve:
    rows = tuple({name: row[name] for name in ("epoch", *ROW)} for row in trial.history)
    metrics = {name: trial.metrics[name] for name in FINAL if name in trial.metrics}
    return Curve(rows, trial.reason, metrics, max(0.0, trial.seconds - sum(row["seconds"] for row in rows)))


def _key(params: Mapping[str, Any]) -> str:
    return json.dumps(params, sort_keys=True)
