"""Makes the tables of a run's trials: with a row for each finished trial, for each recipe, or for each epoch."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.evidence.comparisons import Confirmed
from analysis.pareto.frontier import compute_metric, eligible, frontier, ratio
from analysis.pareto.reference_point import beyond, reference_point_of
from analysis.run.sessions import standings
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from trainables.evaluation.metrics import METRICS
from trainables.execution.ending import State

CONFIRMED = ("robust_accuracy", "low", "high", "clean", "scored", "seeds", "parity")  # in columns `confirmed_NAME`
AFTER = "confirmed_after."  # prefix of the columns of what stands once an attack has had its turns


def finished(run: Run, confirmed: Mapping[str, Confirmed] | None = None) -> pd.DataFrame:
    """Return one row for each complete trial, in the order of proposing.

    Args:
        run: the run.
        confirmed: what confirmations found, by the trials' ids.

    Returns:
        Columns id, role, name, recipe (in words), every metric; estimated_robust_accuracy and
        estimated_robust_accuracy_stderr where the search has a model, empty for all but proposals; on_frontier (bool),
        eligible (bool: it may be on the frontier, being better than chance and within the constraints), in_region
        (bool: it lies in the region that the study asks for, as all do until base and reference have finished) and,
        once the reference has finished, marginal_ratio, end_to_end_ratio and robust_ratio: the trial's train_flops,
        end_to_end_flops and robust_accuracy divided by those of the reference. Where something is confirmed, also
        confirmed_robust_accuracy, confirmed_low and confirmed_high (its two-sided 95% interval), confirmed_clean,
        confirmed_scored (under the search's attack), confirmed_after.ATTACK for each attack of the ensemble (what
        stands once it and those before it have had their turns), confirmed_seeds, confirmed_parity (yes, no or
        undecided) and confirmed_reliable (bool), empty for what is not confirmed.
    """
    kept = {trial.id for trial in frontier(run)}
    point, compute = reference_point_of(run), compute_metric(run.info)
    ratios = {
        "marginal_ratio": "train_flops",
        "end_to_end_ratio": "end_to_end_flops",
        "robust_ratio": "robust_accuracy",
    }
    rows = [
        {"id": trial.id, "role": trial.role, "name": trial.name, "recipe": summary(trial.recipe), **trial.metrics}
        | {f"estimated_{name}": value for name, value in trial.estimate.items()}
        | ({} if run.reference is None else {name: ratio(run, trial, whole) for name, whole in ratios.items()})
        | {
            "on_frontier": trial.id in kept,
            "eligible": eligible(run, trial),
            "in_region": beyond(point, trial, compute) is None,
        }
        | _confirmed((confirmed or {}).get(trial.id))
        for trial in run.trials
        if trial.state is State.COMPLETE
    ]
    columns = None if rows else ["id", "role", "name", "recipe", "on_frontier", "eligible", "in_region"]
    return pd.DataFrame(rows, columns=columns)


def on_frontier(table: pd.DataFrame, run: Run) -> pd.DataFrame:
    """Return those rows of `finished` that are on a run's frontier, by the compute that it is judged by."""
    return table[table["on_frontier"]].sort_values(compute_metric(run.info), kind="stable") if len(table) else table


def _confirmed(found: Confirmed | None) -> dict[str, Any]:
    if found is None:
        return {}
    told = {f"confirmed_{name}": getattr(found, name) for name in CONFIRMED}
    after = {f"{AFTER}{attack}": share for attack, share in found.after.items()}
    return told | after | {"confirmed_reliable": not found.doubts}


def recipes(run: Run) -> pd.DataFrame:
    """Return one row for each recipe, ended or not, in the order of proposing: what was chosen, and what came of it.

    Returns:
        Columns id, number, role, name, recipe (in words), state, reason, started, ended, seconds; asked (the names of
        the parameters that a sampler chose for it, between spaces); `param.NAME` for each of these, empty where it was
        not asked for, and where it was and none was chosen; every final metric, empty where the recipe has not
        finished; on_frontier (bool).
    """
    kept, standing = {trial.id for trial in frontier(run)}, standings(run)
    rows = [
        {
            "id": trial.id,
            "number": trial.number,
            "role": trial.role,
            "name": trial.name,
            "recipe": summary(trial.recipe),
            "state": standing[trial.id],
            "reason": trial.reason,
            "started": trial.started,
            "ended": trial.ended,
            "seconds": trial.seconds,
            "asked": " ".join(trial.params),
        }
        | {f"param.{name}": value for name, value in trial.params.items()}
        | trial.metrics
        | {"on_frontier": trial.id in kept}
        for trial in run.trials
    ]
    always = ["id", "number", "role", "name", "recipe", "state", "reason", "started", "ended", "seconds", "asked"]
    table = pd.DataFrame(rows, columns=None if rows else [*always, "on_frontier"])
    params = sorted(name for name in table.columns if name.startswith("param."))
    metrics = [name for name in table.columns if name in METRICS]
    first = [name for name in table.columns if name not in (*params, *metrics, "on_frontier")]
    return table[[*first, *params, *metrics, "on_frontier"]]


def some_of(run: Run, members: Collection[str], most: int) -> list[Trial]:
    """Return the trials that are shown one by one: all, or of a long search some, in the order of proposing.

    Args:
        run: the run.
        members: ids of the recipes on its frontier.
        most: how many trials are all shown; of more there are those on the frontier, fixed recipes, and an even draw of
            the others.
    """
    if len(run.trials) <= most:
        return list(run.trials)
    first = set(members) | {trial.id for trial in run.trials if trial.role != "proposed"}
    rest = [trial.id for trial in run.trials if trial.id not in first]
    places = np.linspace(0, len(rest) - 1, max(most - len(first), 1)).round().astype(int)
    kept = first | {rest[place] for place in places}
    return [trial for trial in run.trials if trial.id in kept]


def curves(run: Run) -> pd.DataFrame:
    """Return one row for each trial and epoch: id, role, name and state of the trial, then the epoch's numbers."""
    standing = standings(run)
    rows = [
        {"id": trial.id, "role": trial.role, "name": trial.name, "state": standing[trial.id], **row}
        for trial in run.trials
        for row in trial.history
    ]
    return pd.DataFrame(rows, columns=None if rows else ["id", "role", "name", "state", "epoch"])
