"""Runs an optimizer on a table, and counts for all of them alike what was spent and what was found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.pareto.hypervolume import hypervolume
from tests.benchmarks.peers.optimizers.peer import Budget, Left, Maker, Result, Task
from tests.benchmarks.peers.tables.costs import costs_of
from tests.benchmarks.peers.tables.table import Array, Entry, Table


@dataclass(frozen=True)
class Step:
    """One thing that a search did: it trained a recipe, or trained it further.

    Attributes:
        entry: number of the recipe.
        share: share of its schedule that it has been trained for now, 0–1.
        spent: what this step added, in the table's unit of cost.
        finished: whether the recipe is at its end.
    """

    entry: int
    share: float
    spent: float
    finished: bool


def search(table: Table, make: Maker, budget: Budget, seed: int) -> list[Step]:
    """Run an optimizer until its budget is spent, or every recipe has run.

    Whatever it suggests is moved to the nearest recipe of the table that has not run.
    """
    costs = costs_of(table)
    params = tuple(one.params for one in table.entries)
    peer = make(Task(table.parameters, params, table.features, table.point, costs, budget.trials, seed))
    rng = np.random.default_rng([seed, 1])  # another stream than a peer's that is seeded with the same number
    steps: list[Step] = []
    begun: dict[int, float] = {}  # what each recipe that was begun has spent
    finished: set[int] = set()
    while len(begun) < len(table.entries):
        spent = sum(begun.values())
        if budget.spent is not None and spent >= budget.spent:
            break
        suggestion = peer.ask(
            Left(budget, budget.trials - len(begun), None if budget.spent is None else budget.spent - spent)
        )
        if suggestion.goes_on:
            entry: int | None = params.index(suggestion.params)
        elif len(begun) == budget.trials:
            break
        else:
            entry = table.nearest(suggestion.params, list(begun), rng)
        assert entry is not None, "a recipe is left"
        result, step = _run(table.entries[entry], entry, suggestion.share, begun.get(entry, 0.0))
        begun[entry] = begun.get(entry, 0.0) + step.spent
        steps.append(step)
        if step.finished:
            costs.observe(entry, result.decades)
        peer.tell(result)
        finished |= {entry} if step.finished else set()
        if len(finished) == budget.trials:
            break
    return steps


def _run(entry: Entry, number: int, share: float, before: float) -> tuple[Result, Step]:
    """Train a recipe up to a share of its schedule, or to where it ended early."""
    place = min(int(np.searchsorted(entry.shares, share - 1e-9)), len(entry.shares) - 1)
    finished = place == len(entry.shares) - 1
    reached = [score for score in entry.scores[: place + 1] if not np.isnan(score)]
    score = (entry.score or 0.0) if finished else (reached[-1] if reached else 0.0)
    decades = float(np.log10(max(1e-12, entry.cost)))
    trained = 1.0 if finished else entry.shares[place]
    return (
        Result(number, entry.params, trained, score, decades),
        Step(number, trained, max(0.0, entry.spent[place] - before), finished),
    )


def grown(table: Table, steps: Sequence[Step]) -> tuple[Array, Array]:
    """Return what a search had spent and found after each step.

    Returns:
        `(steps,)` what was spent, as a share of the table's budget; and `(steps,)` the hypervolume of the recipes that
        had finished, as a share of that of the whole table.
    """
    spent = np.cumsum([step.spent for step in steps]) / table.budget
    point, finished, found = np.array(table.point), list[int](), list[float]()
    for step in steps:
        finished += [step.entry] if step.finished else []
        found.append(hypervolume(table.plane[finished].reshape(-1, 2), point) / table.best)
    return spent, np.array(found)


def reached(spent: Array, found: Array, level: float) -> float:
    """Share of the budget after which a share of the region was found; infinite if that is more than the budget."""
    there = spent[(found >= level) & (spent <= 1.0)]
    return float(there[0]) if len(there) else float("inf")


def after_trials(steps: Sequence[Step], found: Array, trials: int) -> float:
    """Share of the region that a search had found with its first recipes."""
    begun: set[int] = set()
    last = 0.0
    for step, share in zip(steps, found, strict=True):
        begun.add(step.entry)
        if len(begun) > trials:
            break
        last = float(share)
    return last
