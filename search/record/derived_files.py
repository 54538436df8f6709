"""Derives from a run's trials/ what else lies in its folder, and the sentence that a search ends with."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from analysis.pareto.parity import verdict
from analysis.run.record_table import NOTHING, Known, stamps_of, write_known
from analysis.run.trials import ESTIMATES, IMPORTANCES, Run
from analysis.tables.rungs import rung_lines
from search.monitoring.importances import write_importances
from search.monitoring.tensorboard import write_tensorboard
from search.record.study_database import write_study_database
from search.samplers.estimates import estimates_of
from search.study.loading import read_study
from trainables.collector import paused
from trainables.errors import NoTrialSucceeded, TemperError
from trainables.execution.ending import State
from trainables.storage import Folder

DERIVED = "derived.json"  # what the files below were made of, and their own stamps
LASTING = (ESTIMATES, IMPORTANCES, "trials.parquet", "recipes.parquet", "study.db", "tensorboard")


def derive(run: Run, known: Known = NOTHING) -> Run:
    """Rebuild the derived files of a run from its trials/: report, tables, figures, study.db, TensorBoard.

    Tables, study.db and TensorBoard's files are left as they are where nothing has changed since they were made; of a
    large run they take most of the time.

    Args:
        run: the run, which must have just been read, with its curves.
        known: what it was read by, if by a table.

    Returns:
        The run with the estimates of its search's model.
    """
    from analysis.report.report import (
        write_report,  # late: importing matplotlib takes half a second, for which the first trial would wait
    )

    with paused():
        made_of = _made_of(run, {**write_known(run, known), **stamps_of(run)})
        current = _made_before(run.folder) == [made_of, *_stamps(run.folder)]
        if current:
            run = up_to_date(run)
            write_report(run, tables=False)
            return run
        run = with_estimates(run)
        write_estimates(run)
        write_importances(run)
        write_report(run)
        write_study_database(run)
        write_tensorboard(run)
        run.folder.write_json(DERIVED, [made_of, *_stamps(run.folder)])
    return run


def _made_of(run: Run, stamps: Mapping[str, str]) -> str:
    """Return a digest of all that derived files are made of: trials, study, and the code that makes them."""
    code = [
        (str(file), file.stat().st_mtime_ns, file.stat().st_size)
        for package in ("search", "analysis", "trainables")
        for file in sorted((Path(__file__).parents[2] / package).rglob("*.py"))
    ]
    written = json.dumps([run.info, _study(run.folder), sorted(stamps.items()), code])
    return hashlib.sha256(written.encode()).hexdigest()


def _study(folder: Folder) -> str:
    return folder.read("study.yaml").decode(errors="replace") if folder.exists("study.yaml") else ""


def _made_before(folder: Folder) -> object:
    """Return what derived.json holds; None where nothing can be said, as of remote storage without folders' stamps."""
    try:
        return None if folder.local is None else folder.read_json(DERIVED)
    except (OSError, ValueError):
        return None


def _stamps(folder: Folder) -> list[list[int]]:
    return [list(stamp) for stamp in folder.stamps(LASTING)] if folder.local is not None else []


def with_estimates(run: Run) -> Run:
    """Return a run with the estimates of its search's model.

    A run that only an older version can read, or repeat, has none, and says why.
    """
    try:
        estimates, reason = estimates_of(run, read_study(run.folder)), ""
    except TemperError as problem:
        estimates, reason = {}, str(problem)
    return replace(run.estimated(estimates), not_estimated=reason)


def up_to_date(run: Run) -> Run:
    """Return a run with the estimates that are written, or with new ones where proposals have finished since then.

    So that a choice by estimates is the same before and after `temper report`.
    """
    ended = [trial for trial in run.trials if trial.role == "proposed" and trial.state is State.COMPLETE]
    return run if all(trial.estimate for trial in ended) else with_estimates(run)


def write_estimates(run: Run) -> None:
    """Write estimates.json, which readers of the run take them from; none stays where there are none."""
    if estimates := {trial.id: dict(trial.estimate) for trial in run.trials if trial.estimate}:
        run.folder.write_json(ESTIMATES, estimates)
    elif run.folder.exists(ESTIMATES):
        run.folder.delete(ESTIMATES)


def conclude(run: Run) -> str:
    """Return a run's verdict in one sentence, and a line for each rung of halving.

    Raises:
        NoTrialSucceeded: no trial finished; it lists the reasons.
    """
    if not any(trial.state is State.COMPLETE for trial in run.trials):
        reasons = sorted({trial.reason or "unfinished" for trial in run.trials}) or ["none was started"]
        raise NoTrialSucceeded(f"{run.folder}: no trial succeeded: {'; '.join(reasons)}")
    return "\n".join([verdict(run), *rung_lines(run)])
