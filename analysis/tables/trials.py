"""Makes the tables of a run's trials: one with a row for each finished trial, and one for each trial and epoch."""

import pandas as pd

from analysis.pareto.frontier import frontier, ratio
from analysis.run.summary import summary
from analysis.run.trials import Run
from trainables.execution.ending import State


def finished(run: Run) -> pd.DataFrame:
    """Return one row for each complete trial, in the order of proposing.

    Returns:
        Columns id, role, name, recipe (in words), every metric, on_frontier (bool) and, once the reference has
        finished, marginal_ratio, end_to_end_ratio and robust_ratio: the trial's train_flops, end_to_end_flops and
        robust_accuracy divided by those of the reference.
    """
    kept = {trial.id for trial in frontier(run)}
    ratios = {
        "marginal_ratio": "train_flops",
        "end_to_end_ratio": "end_to_end_flops",
        "robust_ratio": "robust_accuracy",
    }
    rows = [
        {"id": trial.id, "role": trial.role, "name": trial.name, "recipe": summary(trial.recipe), **trial.metrics}
        | ({} if run.reference is None else {name: ratio(run, trial, whole) for name, whole in ratios.items()})
        | {"on_frontier": trial.id in kept}
        for trial in run.trials
        if trial.state is State.COMPLETE
    ]
    columns = None if rows else ["id", "role", "name", "recipe", "on_frontier"]
    return pd.DataFrame(rows, columns=columns)


def curves(run: Run) -> pd.DataFrame:
    """Return one row for each trial and epoch: id, role, name and state of the trial, then the epoch's numbers."""
    rows = [
        {"id": trial.id, "role": trial.role, "name": trial.name, "state": trial.state.value, **row}
        for trial in run.trials
        for row in trial.history
    ]
    return pd.DataFrame(rows)
