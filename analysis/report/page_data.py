"""Gathers the numbers behind the page: a column for each number of a recipe, lines of charts, and learning curves."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from analysis.export.selection import first_pick, pick
from analysis.pareto.frontier import CANDIDATES, compute_metric, excluded
from analysis.pareto.growth import growth
from analysis.pareto.reference_point import least_of, reference_point_of
from analysis.report.attacked_sheets import attacked_sheets
from analysis.report.frontier_chart import ESTIMATED, staircase
from analysis.run.sessions import standings
from analysis.run.summary import summary
from analysis.run.trials import IMPORTANCES, Run, Trial
from analysis.tables.trials import AFTER, some_of
from trainables.evaluation.chance import learnt_nothing
from trainables.evaluation.config import attack_words
from trainables.evaluation.metrics import METRICS
from trainables.evaluation.remarks import remarks

MOST = 1_000  # recipes that the page holds, which keeps it below 6 MB; of more it shows these, and says so
MOST_CURVES = 200  # recipes whose learning curves it holds
DIGITS = 5  # of the numbers of a learning curve, which are drawn and not copied
AXES = {
    "train_flops": "marginal training compute (FLOPs)",
    "end_to_end_flops": "end-to-end training compute (FLOPs)",
    "inference_macs": "multiply-accumulates of one image's forward pass",
}
PARAM = "param."  # prefix of the columns of what a sampler chose


@dataclass(frozen=True)
class Column:
    """One column of the page's table.

    Attributes:
        key: its name, that of frontier.csv where it has one.
        label: its heading.
        words: its meaning, for people.
        shown: whether it is shown before columns are chosen.
    """

    key: str
    label: str
    words: str
    shown: bool = False


_FIRST = (
    Column("recipe", "recipe", "what was trained, in words; usual settings are left out", shown=True),
    Column("role", "role", "base, baseline (with its name), grid or proposed", shown=True),
    Column("robust_accuracy", "robust", METRICS["robust_accuracy"].words, shown=True),
    Column("robust_accuracy_stderr", "± robust", METRICS["robust_accuracy_stderr"].words),
    Column(ESTIMATED, "estimated", "what the search's model makes of its own score and all others", shown=True),
    Column(f"{ESTIMATED}_stderr", "± estimated", "standard error of that estimate"),
    Column("confirmed_robust_accuracy", "confirmed", "fresh seeds, test split, the ensemble", shown=True),
    Column("confirmed_low", "confirmed, low", "lower end of its two-sided 95% interval"),
    Column("confirmed_high", "confirmed, high", "upper end of its two-sided 95% interval"),
    Column("confirmed_scored", "confirmed, scored", "the same networks and images, under the search's attack"),
    Column("confirmed_clean", "confirmed, clean", "the same networks and images, without an attack"),
    Column("confirmed_seeds", "seeds", "number of fresh seeds"),
    Column("confirmed_parity", "parity", "whether it is at parity with the reference: yes, no or undecided"),
    Column("clean_accuracy", "clean", METRICS["clean_accuracy"].words, shown=True),
    Column("train_flops", "marginal", METRICS["train_flops"].words, shown=True),
    Column("marginal_ratio", "of reference", "marginal compute, as a share of the reference's", shown=True),
    Column("end_to_end_flops", "end-to-end", METRICS["end_to_end_flops"].words, shown=True),
    Column("end_to_end_ratio", "end-to-end of reference", "end-to-end compute, as a share of the reference's"),
    Column("robust_ratio", "robust of reference", "robust accuracy, as a share of the reference's"),
    Column("inference_macs", "MACs", METRICS["inference_macs"].words, shown=True),
    Column("mac_ratio", "MACs of dense", METRICS["mac_ratio"].words),
    Column("parameters", "parameters", METRICS["parameters"].words),
    Column("model_bytes", "bytes", METRICS["model_bytes"].words),
    Column("device_seconds", "device seconds", METRICS["device_seconds"].words),
    Column("seconds", "seconds", "time for which it kept its slot busy"),
    Column("state", "state", "how it stands, and why", shown=True),
    Column("id", "id", "hash of the recipe, which names it to temper export, confirm and evaluate", shown=True),
)


def page_data(run: Run, table: pd.DataFrame) -> dict[str, Any]:
    """Return what the page's script draws, as plain data without NaN.

    Args:
        run: the run.
        table: its table of `analysis.tables.trials.finished`.
    """
    members = set(table[table["on_frontier"]]["id"]) if len(table) else set()
    proven = set(table[table["confirmed_seeds"].notna()]["id"]) if "confirmed_seeds" in table else set()
    shown = some_of(run, members | proven, MOST)
    values = _values(run, table, shown)
    knee = pick(run, "knee")[0].id if first_pick(run) == "knee" else None
    return {
        "recipes": len(run.trials),
        "reference": run.info["reference"],
        "attack": attack_words(run.info["evaluation"]),
        "axes": AXES,
        "axis": compute_metric(run.info),
        "least": least_of(run),
        "columns": [
            {"key": one.key, "label": one.label, "words": one.words, "shown": one.shown} for one in _columns(values)
        ],
        "values": values,
        "details": _details(shown),
        "frontier": {axis: _line(table, axis) for axis in AXES},
        "baselines": {axis: _line(table[table["role"] == "baseline"] if len(table) else table, axis) for axis in AXES},
        "growth": _growth(run),
        "importances": _importances(run),
        "curves": _curves(shown, table),
        "knee": knee,
        "images": attacked_sheets(run, table, [run.info["reference"], *([knee] if knee else [])]),
        "export": f"temper export {run.folder.typed} --pick",
    }


def endings(run: Run) -> list[tuple[str, str, int]]:
    """Return how the recipes of a run stand: state, reason in words, and how many; the most frequent first."""
    standing = standings(run)
    counts = Counter((standing[trial.id], trial.reason or "") for trial in run.trials)
    return [(state, reason, number) for (state, reason), number in counts.most_common()]


def _values(run: Run, table: pd.DataFrame, shown: Sequence[Trial]) -> dict[str, list[Any]]:
    """Return every column, a value for each shown trial, None where there is none."""
    here = table[table["id"].isin([trial.id for trial in shown])]
    standing = standings(run)
    known: Mapping[Any, Mapping[Any, Any]] = here.set_index("id").to_dict("index") if len(here) else {}
    rows = [
        {**known.get(trial.id, {"on_frontier": False, "eligible": False, "in_region": True})}
        | {"id": trial.id, "role": trial.role, "name": trial.name, "recipe": summary(trial.recipe)}
        | _standing(run, trial, standing[trial.id])
        | {"seconds": trial.seconds or None, "complete": bool(trial.metrics), "candidate": trial.role in CANDIDATES}
        | {f"{PARAM}{name}": _chosen(value) for name, value in trial.params.items()}
        for trial in shown
    ]
    keys = list(dict.fromkeys(["id", *(key for row in rows for key in row)]))
    return {key: [_plain(row.get(key)) for row in rows] for key in keys}


def shortened(values: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    """Return columns as the page holds them: one in which all recipes have the same value as a list of that alone."""
    return {
        key: column[:1] if len({repr(value) for value in column}) == 1 else column for key, column in values.items()
    }


def _standing(run: Run, trial: Trial, state: str) -> dict[str, str | None]:
    """Return a trial's state with its reason, and why it may not be on the frontier, if it has finished and may not."""
    why = excluded(run, trial) if trial.metrics and trial.role in CANDIDATES else None
    said = learnt_nothing(trial.metrics) is not None  # which is among the remarks
    reasons = [trial.reason] if trial.reason else [*([] if why is None or said else [why]), *remarks(trial.metrics)]
    return {"state": ": ".join([state, "; ".join(reasons)][: 1 + bool(reasons)]), "excluded": why}


def _chosen(value: Any) -> Any:
    """Return a choice as the page shows it: none as a word, since nothing stands for what was not asked for.

    A part of a recipe, which the sampler knows by its JSON, is shown as its kind and settings.
    """
    if value is None:
        return "none"
    if not isinstance(value, str) or not value.startswith("{"):
        return value
    try:
        part = json.loads(value)
    except ValueError:
        return value
    kind = part.pop("kind", None) or part.pop("method", None) or ""
    return " ".join([kind, *(f"{name} {setting}" for name, setting in part.items() if setting is not None)]).strip()


def _details(shown: Sequence[Trial]) -> dict[str, list[Any]]:
    """Return whole recipes, each of their parts once: most of them share base, data, model and usual settings.

    Returns:
        keys: names of a recipe's parts. parts: every part that there is, as plain data. recipes: for each shown trial
        the places of its parts among them, in the order of the names; -1 for one that it does not have.
    """
    keys = list(dict.fromkeys(key for trial in shown for key in trial.recipe))
    places: dict[str, int] = {}
    recipes = [
        [places.setdefault(json.dumps(trial.recipe[key]), len(places)) if key in trial.recipe else -1 for key in keys]
        for trial in shown
    ]
    return {"keys": keys, "parts": [json.loads(part) for part in places], "recipes": recipes}


def _columns(values: Mapping[str, Sequence[Any]]) -> list[Column]:
    """Return the columns of which some recipe has a value: chief ones, of attacks, what was chosen, other numbers."""
    there = [key for key, column in values.items() if any(value is not None for value in column)]
    first = [one for one in _FIRST if one.key in there]
    chosen = [Column(key, key.removeprefix(PARAM), "chosen by the sampler") for key in there if key.startswith(PARAM)]
    after = [
        Column(
            key,
            f"after {key.removeprefix(AFTER)}",
            "confirmed: what stands once this attack and those before it have had their turns",
        )
        for key in there
        if key.startswith(AFTER)
    ]
    named = {one.key for one in _FIRST}
    rest = [
        Column(key, key.replace("_", " "), METRICS[key].words) for key in there if key in METRICS and key not in named
    ]
    return [*first, *after, *chosen, *rest]


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: NumPy's types as Python's, and None for what is missing or not finite."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _rounded(value: Any) -> Any:
    """Return a number of a learning curve with the digits that a chart can show."""
    found = _plain(value)
    return round(found, DIGITS) if isinstance(found, float) else found


def _line(table: pd.DataFrame, axis: str) -> dict[str, list[float]]:
    steps = staircase(table, axis)
    return {"x": steps[axis].tolist(), "y": steps["robust_accuracy"].tolist()}


def _growth(run: Run) -> dict[str, list[float]]:
    """Return how the hypervolume grew; empty until base and reference have finished, from which its bounds follow.

    Of a long search only the steps at which it grew are kept, and its end.
    """
    point = reference_point_of(run)
    if point is None:
        return {"trials": [], "flops": [], "hypervolume": []}
    grown = growth(run, point)
    steps = np.arange(1, len(grown.flops) + 1)
    kept = np.ones(len(steps), dtype=bool)
    if len(steps) > MOST:
        kept[1:-1] = np.diff(grown.hypervolume)[:-1] > 0
    return {
        "trials": steps[kept].tolist(),
        "flops": grown.flops[kept].tolist(),
        "hypervolume": grown.hypervolume[kept].tolist(),
    }


def _importances(run: Run) -> dict[str, dict[str, float]]:
    """Return what the search found to matter, by objective; the file is derived, so a torn or missing one is empty."""
    try:
        return {str(goal): dict(found) for goal, found in run.folder.read_json(IMPORTANCES).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _curves(shown: Sequence[Trial], table: pd.DataFrame) -> dict[str, dict[str, list[Any]]]:
    """Return learning curves by the trials' ids: those of the frontier and of fixed recipes before others."""
    members = set(table[table["on_frontier"]]["id"]) if len(table) else set()
    ranked = sorted(shown, key=lambda trial: trial.id not in members and trial.role == "proposed")
    return {
        trial.id: {
            key: [_rounded(row.get(key)) for row in trial.history]
            for key in ("epoch", "robust_accuracy", "clean_accuracy")
        }
        for trial in [one for one in ranked if one.history][:MOST_CURVES]
    }
