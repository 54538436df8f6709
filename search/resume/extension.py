"""Extends the budget of a run that has ended, or goes on, without changing what was proposed before."""

import math
import re
from collections.abc import Sequence
from dataclasses import fields

from analysis.run.extensions import Extension, Spent
from analysis.run.sessions import hours_spent
from analysis.run.trials import Run, Trial
from search.study.study import Study
from trainables.errors import InvalidInput
from trainables.evaluation.metrics import own_flops
from trainables.execution.ending import State

AMOUNTS = 3  # the first fields of an extension are what is added
FORM = re.compile(r"(?P<name>trials|hours|flops)=\+(?P<amount>[0-9.].*)")


def read_amounts(written: Sequence[str], *, where: str = "--budget") -> Extension | None:
    """Read what is to be added, such as `trials=+20`, without what has been spent; None if nothing is.

    Args:
        written: each a name and its amount.
        where: the option or argument that they were given by, for messages.

    Raises:
        InvalidInput: it has another form, an amount is 0 or no whole number of trials, or one is given twice.
    """
    amounts: dict[str, float] = {}
    for one in written:
        found = FORM.fullmatch(one.strip())
        amount = math.nan if found is None else _number(found["amount"])
        if found is None or not math.isfinite(amount):
            raise InvalidInput(f"{where}: got {one!r}, expected trials=+N, hours=+N or flops=+N")
        name = found["name"]
        if name in amounts:
            raise InvalidInput(f"{where}: got {name} twice, expected it once")
        if not amount or (name == "trials" and not amount.is_integer()):
            raise InvalidInput(f"{where}: got {one!r}, expected {'a whole number' if amount else 'a number'} above 0")
        amounts[name] = amount
    if not amounts:
        return None
    return Extension(int(amounts.get("trials", 0)), amounts.get("hours", 0.0), amounts.get("flops", 0.0))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def spent_of(run: Run) -> Spent:
    """Return what a run's search has spent of its budget so far."""
    proposed = [trial for trial in run.trials if trial.role == "proposed"]
    finished = sum(trial.state is State.COMPLETE for trial in proposed)
    return Spent(len(proposed), finished, sum(_flops(trial) for trial in proposed), hours_spent(run))


def extended(study: Study, extensions: Sequence[Extension]) -> Study:
    """Return a run's study with the budget that all of its extensions together leave it."""
    budget = study.budget
    return study.model_copy(
        update={
            "budget": budget.model_copy(
                update={
                    "trials": budget.trials + sum(one.trials for one in extensions),
                    "hours": None if budget.hours is None else budget.hours + sum(one.hours for one in extensions),
                    "flops": None if budget.flops is None else budget.flops + sum(one.flops for one in extensions),
                }
            )
        }
    )


def check_extension(study: Study, extensions: Sequence[Extension], spent: Spent) -> None:
    """Check that a study with its extensions, of which the last is new, has something left to spend.

    Raises:
        InvalidInput: it has no space to propose from, or a budget is added to that it does not limit, or another one
            is spent.
    """
    added, budget = extensions[-1], extended(study, extensions).budget
    if study.space is None:
        raise InvalidInput("budget: the study has no space, so nothing can be proposed")
    problems = []
    for field in fields(Extension)[:AMOUNTS]:
        name = field.name
        limit, used = getattr(budget, name), getattr(spent, name)
        if limit is None and getattr(added, name):
            problems.append(
                f"budget: {name} are added, which the study does not limit; expected trials, or what it limits"
            )
        elif limit is not None and used >= limit:
            problems.append(f"budget: {name} are spent as well, {used:.4g} of {limit:.4g}; add {name}, too")
    if problems:
        raise InvalidInput(*problems)


def _flops(trial: Trial) -> float:
    """Return what a proposal has spent itself, as `search.running.budget` counts it."""
    rows = [row for row in trial.history if row.get("train_flops") is not None]
    return own_flops(rows[-1] if rows else trial.metrics)
