"""Refuses runs whose numbers mean different things: other attacks, other images, or another kind of compute."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from analysis.pareto.frontier import compute_metric
from analysis.run.trials import Run
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel, attack_words, threat_words
from trainables.value_forms import counted

FEWEST = 2


def check_comparable(runs: Sequence[Run]) -> None:
    """Refuse runs that cannot be held against each other.

    Raises:
        InvalidInput: fewer than two runs are given, or one twice; or robust accuracies are of other threat models,
            attacks or images, or compute is counted otherwise. All reasons are listed.
    """
    if len(runs) < FEWEST:
        raise InvalidInput(f"got {len(runs)} run, expected at least {FEWEST} to compare")
    places = [_place(run) for run in runs]
    if twice := sorted({place for place in places if places.count(place) > 1}):
        raise InvalidInput(f"got {', '.join(twice)} twice, expected different runs")
    first, *others = runs
    problems = [
        f"{run.folder}: {what} {got}, expected {expected} as in {first.folder}"
        for run in others
        for what, words in _MEANINGS.items()
        if (got := words(run)) != (expected := words(first))
    ]
    problems += [problem for run in others if (problem := _other_images(first, run))]
    if problems:
        raise InvalidInput(*problems)


def _place(run: Run) -> str:
    """Return where a run lies, the same for each way to write it."""
    local = run.folder.local
    return str(run.folder) if local is None else str(local.resolve())


def _threat(run: Run) -> str:
    return threat_words(ThreatModel.model_validate(run.info["threat_model"]))


def _attack(run: Run) -> str:
    evaluation = run.info["evaluation"]
    scored = evaluation.get("examples")
    return f"{attack_words(evaluation)}, {counted(scored, 'image') if scored else 'all images'}"


def _compute(run: Run) -> str:
    return {"train_flops": "marginal", "end_to_end_flops": "end-to-end"}[compute_metric(run.info)]


_MEANINGS: Mapping[str, Callable[[Run], str]] = {
    "robust accuracy is against": _threat,
    "scores are by": _attack,
    "compute is": _compute,
}


def _other_images(first: Run, other: Run) -> str | None:
    """Return what is wrong where two runs were not scored on the same validation images; None if nothing is.

    The fingerprint of the data covers the training images too. So where it differs, the same named set with the same
    validation images held out passes: how many of the rest are trained on is a difference like any other.
    """
    before, now = (run.info.get("environment", {}).get("data") for run in (first, other))
    if before == now and before is not None:
        return None
    held_out, found = (_held_out(run) for run in (first, other))
    if found == held_out and found is not None and ":" not in str(found["name"]):
        return None
    said = "" if found is None or held_out is None or found == held_out else f" ({_set(found)}, not {_set(held_out)})"
    return (
        f"{other.folder}: was scored on other images{said} than {first.folder}, or nothing tells that they are the same"
    )


def _held_out(run: Run) -> dict[str, Any] | None:
    data = next((trial.recipe["data"] for trial in run.trials), None)
    return None if data is None else {key: value for key, value in data.items() if key != "train_size"}


def _set(data: Mapping[str, Any]) -> str:
    return f"{data['name']}, {data['validation_size']} held out with seed {data.get('split_seed', 0)}"
