"""Draws a frontier in characters, for a terminal: robust accuracy upwards, decades of compute to the right."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from analysis.pareto.frontier import CANDIDATES, compute_metric, frontier, metric
from analysis.run.trials import Run
from trainables.execution.ending import State

LEFT = 6  # characters before the plot, for the accuracies


@dataclass(frozen=True)
class Marks:
    """The characters of a sketch."""

    other: str = "·"
    member: str = "●"
    baseline: str = "◆"
    full: str = "█"
    empty: str = "░"
    line: str = "─"
    side: str = "│"


PLAIN = Marks(other=".", member="o", baseline="B", full="#", empty="-", line="-", side="|")


def marks_of(encoding: str | None) -> Marks:
    """Return the characters that an output of this encoding can show."""
    marks = Marks()
    try:
        "".join([marks.other, marks.member, marks.baseline, marks.full, marks.empty, marks.line]).encode(encoding or "")
    except (LookupError, UnicodeEncodeError):
        return PLAIN
    return PLAIN if os.environ.get("TERM") == "dumb" else marks


def sketch(run: Run, width: int, height: int, marks: Marks) -> list[str]:
    """Return a frontier as lines; none before two recipes with a robust accuracy and compute above 0 have finished.

    Nor are there any where lines are too short for it.

    Where several recipes fall on one character, a baseline is drawn before a recipe on the frontier, and that before
    any other.

    Args:
        run: the run.
        width: characters of a line.
        height: lines of the plot, without those of its axis.
        marks: what is drawn.
    """
    compute, members = compute_metric(run.info), {trial.id for trial in frontier(run)}
    points = [
        (math.log10(metric(trial, compute)), metric(trial, "robust_accuracy"), trial)
        for trial in run.trials
        if trial.state is State.COMPLETE and trial.role in CANDIDATES and metric(trial, compute) > 0
    ]
    points = [one for one in points if math.isfinite(one[1])]
    if len(points) < 2 or width <= LEFT + 2:
        return []
    across, low, high = _span([x for x, _, _ in points]), *_span([y for _, y, _ in points])
    canvas = [[" "] * (width - LEFT - 2) for _ in range(height)]
    ranked = [(0, marks.other), (1, marks.member), (2, marks.baseline)]
    for rank, mark in ranked:
        for x, y, trial in points:
            if rank == (2 if trial.role == "baseline" else 1 if trial.id in members else 0):
                row = height - 1 - _place(y, low, high, height)
                canvas[row][_place(x, *across, len(canvas[0]))] = mark
    lines = []
    for number, cells in enumerate(canvas):
        label = f"{high:.3f}" if number == 0 else f"{low:.3f}" if number == height - 1 else ""
        lines.append(f"{label:>{LEFT}} {marks.side}{''.join(cells)}".rstrip())
    first, last = (f"{10**end:.1e}" for end in across)
    lines.append(" " * (LEFT + 1) + marks.line * (width - LEFT - 1))
    lines.append(f"{'':{LEFT + 2}}{first}{f'{last} FLOPs':>{max(1, width - LEFT - 2 - len(first))}}")
    lines.append(f"{'':{LEFT + 2}}{marks.member} frontier  {marks.baseline} baseline  {marks.other} other")
    return lines


def bar(done: float, width: int, marks: Marks) -> str:
    """Return a bar of so many characters, of which a share of `done` (0–1) is full."""
    full = round(min(max(done, 0.0), 1.0) * width)
    return marks.full * full + marks.empty * (width - full)


def length_of(seconds: float) -> str:
    """Return a length of time in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _place(value: float, low: float, high: float, count: int) -> int:
    return round((value - low) / (high - low) * (count - 1))
