"""A small search that faults are done to, what is expected of it afterwards, and the table of what was measured."""

import itertools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis.run.trials import read_run
from search.recipes.fixed import FixedRecipes
from search.study.loading import load, read_study
from tests.support.command import FAST, PGD, PRUNED
from trainables.checkpoints.recovery import recover
from trainables.data.splits import load_splits
from trainables.estimation.flops_planner import FlopsPlanner
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

_LONG = "{epochs: 12, learning_rate: 0.05}"
# Six recipes of about three seconds, most of which start from the base or from b0.
SETTINGS = [
    "data.train_size=400",
    "data.validation_size=100",
    "pretraining.epochs=8",
    "budget.trials=2",
    "sampler.kind=random",
    "resources.max_concurrent=2",
    "space.schedule.epochs.low=8",
    "space.schedule.epochs.high=12",
    f"""baselines=[
        {{name: b0, perturbation: {PGD}, schedule: {_LONG}}},
        {{name: b1, base: base, compression: {PRUNED}, perturbation: {FAST}, schedule: {_LONG}}},
        {{name: b2, base: b0, compression: {PRUNED}, perturbation: {PGD}, schedule: {_LONG}}}
    ]""",
    "reference=b0",
]
START, END = "<!-- faults -->", "<!-- /faults -->"
PAGE = Path(__file__).resolve().parents[2] / "cluster" / "README.md"


@dataclass(frozen=True)
class Row:
    """What a fault did to a search.

    Attributes:
        hosts: that the search ran on.
        finished: trials of it that finished.
        lost: trials of it that did not.
        seconds: from the fault to the end of the first epoch of what it hit; None where nothing went on by itself.
        note: how it recovered.
    """

    fault: str
    hosts: int
    finished: int
    lost: int
    seconds: float | None
    note: str = ""


FAULT = "fault"  # the user property by which a test's row reaches the process that prints the table


def changes(settings: list[str]) -> list[str]:
    """Options of the command."""
    return [part for setting in settings for part in ("--set", setting)]


def until(condition: Callable[[], Any], alive: Callable[[], bool], seconds: float = 180) -> Any:
    """Wait for a condition to hold, and return what it gave; fails once the process it depends on has ended."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert alive(), "the search ended too early"
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)
    return found


def running(run: Path, epoch: int, *, name: str = "*", not_on: str = "") -> tuple[str, str] | None:
    """A trial (of this id) that has begun an epoch and not ended, and the host that it runs on."""
    for begun in (run / "trials").glob(f"{name}/attempts/*-{epoch}"):
        trial = begun.parent.parent
        host = begun.read_text().strip()
        if host != not_on and not (trial / "outcome.json").exists():
            return trial.name, host
    return None


def reference_of(settings: list[str]) -> str:
    """The id of a study's reference, b0."""
    study = load("digits", settings)
    return FixedRecipes.of(study).reference.recipe.id


def outcomes(run: Path) -> dict[str, dict[str, Any]]:
    """Of each trial that has ended."""
    return {path.parent.name: json.loads(path.read_text()) for path in (run / "trials").glob("*/outcome.json")}


def seconds_to_recover(run: Path, trial: str, moment: float) -> float:
    """From a moment (Unix time) to the end of the first epoch that a later attempt of the trial began."""
    folder = run / "trials" / trial
    begun = [path for path in (folder / "attempts").iterdir() if not path.name.startswith("1-")]
    times = sorted([path.stat().st_mtime for path in begun] + [(folder / "outcome.json").stat().st_mtime])
    return next(later for first, later in itertools.pairwise(times) if first > moment) - moment


def check(run: Path, *, repeated: str | None = None) -> tuple[int, int]:
    """Check that nothing was lost and that the ledger is right: compute as planned, and what was lost beside it.

    Args:
        run: its directory; the search has ended.
        repeated: a trial that lost an epoch, which its spent FLOPs must show.

    Returns:
        Trials finished, trials lost (of those the study holds, ended otherwise or not at all).
    """
    folder = Folder(str(run))
    study, record = read_study(folder), read_run(folder)
    expected = len(list(FixedRecipes.of(study))) + study.budget.trials
    complete = [trial for trial in record.trials if trial.state is State.COMPLETE]
    splits, trials = load_splits(study.data), folder.child("trials")
    planner = FlopsPlanner(splits, lambda recipe: recover(recipe, trials, splits))
    for trial in complete:
        planned = planner.plan(Recipe.model_validate(trial.recipe)).marginal
        assert trial.metrics["train_flops"] == pytest.approx(planned, rel=1e-12), trial.name
        assert trial.metrics["spent_flops"] >= trial.metrics["train_flops"]
        if trial.id == repeated:
            assert trial.metrics["spent_flops"] > trial.metrics["train_flops"]
    return len(complete), expected - len(complete)


def table(rows: list[Row]) -> list[str]:
    """As Markdown."""
    lines = ["| fault | hosts | trials finished | trials lost | seconds to recover | |", "|---|---|---|---|---|---|"]
    for row in rows:
        seconds = "–" if row.seconds is None else f"{row.seconds:.1f}"
        lines.append(f"| {row.fault} | {row.hosts} | {row.finished} | {row.lost} | {seconds} | {row.note} |")
    return lines


def write(rows: list[Row]) -> None:
    """Put the rows between the marks in cluster/README.md, in place of earlier ones of the same faults."""
    before, _, rest = PAGE.read_text().partition(START)
    old, _, after = rest.partition(END)
    head, made = table([]), table(rows)[2:]
    lines = {line.split("|")[1]: line for line in [*old.strip().splitlines()[2:], *made]}
    PAGE.write_text("\n".join([before + START, *head, *lines.values(), END]) + after)
