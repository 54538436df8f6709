"""Tells a comparison in lines, and as plain data."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from analysis.comparison.sides import PARTS, Comparison, Side
from analysis.pareto.frontier import metric
from analysis.pareto.parity import verdict
from analysis.run.trials import Trial
from trainables.evaluation.chance import at_chance
from trainables.evaluation.config import ThreatModel, attack_words, threat_words
from trainables.value_forms import counted

NONE = "–"
LONGEST = 40  # characters of a value that is told in a line


def lines(comparison: Comparison) -> list[str]:
    """Return a comparison as people read it: what it is held by, a table with a column a run, and what differs."""
    found = differing(comparison)
    return [
        *heading(comparison),
        "",
        *_table(*table(comparison)),
        "",
        *(f"{side.name}: {verdict(side.run)}" for side in comparison.sides),
        "",
        *(_table(*found) if found[1] else ["The studies say the same."]),
    ]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison as plain data: accuracies 0–1, compute in FLOPs, hypervolumes in accuracy × decades."""
    return {
        "compute": comparison.compute,
        "reference_point": {
            "run": comparison.yardstick,
            "reference": comparison.reference.id,
            "robust_accuracy": float(comparison.point[0]),
            "compute": float(10.0 ** comparison.point[1]),
        },
        "runs": [
            {
                "name": side.name,
                "folder": str(side.run.folder),
                "study": side.run.info["study"],
                "inside": side.inside,
                "hypervolume": {
                    "flops": side.growth.flops.tolist(),
                    "hypervolume": side.growth.hypervolume.tolist(),
                },
                "frontier": [
                    _member(trial, comparison.compute) | {"joint": trial.id in side.joint} for trial in side.frontier
                ],
                "best": {
                    f"{share:g}": None if trial is None else _member(trial, comparison.compute)
                    for share, trial in side.best.items()
                },
            }
            for side in comparison.sides
        ],
        "differences": {one.key: list(one.values) for one in comparison.differences},
    }


def _member(trial: Trial, compute: str) -> dict[str, Any]:
    return {
        "id": trial.id,
        "role": trial.role,
        "robust_accuracy": metric(trial, "robust_accuracy"),
        "estimated_robust_accuracy": trial.estimate.get("robust_accuracy"),
        "flops": metric(trial, compute),
    }


def _grew(side: Side) -> bool:
    return len(side.growth.flops) > 0


def _ended(side: Side) -> str:
    states = Counter(trial.state.value for trial in side.run.trials if trial.role == "proposed" and trial.ending)
    complete = states.pop("complete", 0)
    return ", ".join([f"{complete}", *(f"{count} {state}" for state, count in states.items())])


def _robust(trial: Trial | None) -> str:
    return NONE if trial is None else f"{metric(trial, 'robust_accuracy'):.3f}"


def _best(trial: Trial | None, comparison: Comparison) -> str:
    if trial is None:
        return NONE
    share = metric(trial, comparison.compute) / metric(comparison.reference, comparison.compute)
    return f"{_robust(trial)}  {trial.id[:6]} {share:.1%}"


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of the table that holds runs against each other: a column a run."""
    sides, spent = comparison.sides, comparison.spent
    rows = [
        ("study", [str(side.run.info["study"]) for side in sides]),
        ("proposals ended", [_ended(side) for side in sides]),
        ("their compute, FLOPs", [f"{side.growth.flops[-1]:.3g}" if _grew(side) else NONE for side in sides]),
        ("hypervolume", [f"{side.growth.hypervolume[-1]:.4f}" if _grew(side) else NONE for side in sides]),
        *(
            (
                f"  after {part * spent:.2g} FLOPs",
                [f"{side.growth.at(part * spent):.4f}" if _grew(side) else NONE for side in sides],
            )
            for part in PARTS
            if spent
        ),
        ("inside the region", [str(side.inside) for side in sides]),
        ("on the joint frontier", [f"{len(side.joint)} of {len(side.frontier)}" for side in sides]),
        *(
            (f"best score at ≤ {share:.0%} compute", [_best(side.best[share], comparison) for side in sides])
            for share in sides[0].best
        ),
        ("its own reference", [_robust(side.run.reference) for side in sides]),
    ]
    return ["", *(side.name for side in sides)], [[words, *cells] for words, cells in rows]


def heading(comparison: Comparison) -> list[str]:
    """Return what runs are held by, in sentences."""
    info = comparison.sides[0].run.info
    threat = threat_words(ThreatModel.model_validate(info["threat_model"]))
    kind = "marginal" if comparison.compute == "train_flops" else "end-to-end"
    weak = at_chance(comparison.reference.metrics)
    return [
        f"{counted(len(comparison.sides), 'run')}, {threat} under {attack_words(info['evaluation'])}; "
        f"compute is {kind}.",
        f"Held by {comparison.yardstick}: its reference has {_robust(comparison.reference)} for "
        f"{metric(comparison.reference, comparison.compute):.3g} FLOPs; the region lies above "
        f"{comparison.point[0]:.3f} and below {10.0 ** comparison.point[1]:.3g} FLOPs.",
        *([f"That reference is no yardstick: {weak}."] if weak else []),
    ]


def differing(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of the table of what differs; no rows where studies say the same."""
    rows = [[one.key, *map(_cut, one.values)] for one in comparison.differences]
    return ["what differs", *(side.name for side in comparison.sides)], rows


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (head, *rows)
    ]


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
