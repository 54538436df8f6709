"""Derives from a run's trials/ what else lies in its folder, and the sentence that a search ends with."""

from dataclasses import replace

from analysis.pareto.parity import verdict
from analysis.run.trials import ESTIMATES, Run
from analysis.tables.rungs import rung_lines
from search.monitoring.importances import write_importances
from search.monitoring.tensorboard import write_tensorboard
from search.record.study_database import write_study_database
from search.samplers.estimates import estimates_of
from search.study.loading import read_study
from trainables.collector import paused
from trainables.errors import NoTrialSucceeded, TemperError
from trainables.execution.ending import State


def derive(run: Run) -> Run:
    """Rebuild every derived file of a run from its trials/: report, tables, figures, study.db, TensorBoard.

    Args:
        run: the run, which must have just been read, with its curves.

    Returns:
        The run with the estimates of its search's model.
    """
    from analysis.report.report import (
        write_report,  # late: importing matplotlib takes half a second, for which the first trial would wait
    )

    with paused():
        run = with_estimates(run)
        write_estimates(run)
        write_importances(run)
        write_report(run)
        write_study_database(run)
        write_tensorboard(run)
    return run


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
