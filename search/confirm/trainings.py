"""Trains the recipes of a plan on Ray, as trials of the run with role confirm; what has ended is not trained again."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

import optuna

from analysis.run.extensions import Spent
from analysis.run.trials import CONFIRM, Run, Trial
from search.monitoring.progress import Progress, Terminal
from search.monitoring.tally import Tally
from search.recipes.fixed import Fixed, FixedRecipes
from search.record.recorder import Record
from search.resume.ancestors import finished_ancestors
from search.resume.history import RememberedTrial, next_order, remember
from search.running.budget import START
from search.running.capacity import Capacity
from search.running.tuning import TUNE_STATE, tune_study
from search.study.algorithms import Budget, Sampler
from search.study.space import BASE
from search.study.study import Study
from trainables.data.splits import Splits
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder


def with_ancestors(recipes: Iterable[Recipe]) -> list[Recipe]:
    """Return recipes with their bases and teachers, which come before them, each once."""
    found: dict[str, Recipe] = {}

    def add(recipe: Recipe) -> None:
        for ancestor in (recipe.base, recipe.separate_teacher):
            if ancestor is not None:
                add(ancestor)
        found.setdefault(recipe.id, recipe)

    for recipe in recipes:
        add(recipe)
    return list(found.values())


def train(
    run: Run,
    study: Study,
    splits: Splits,
    recipes: Mapping[str, Recipe],
    *,
    capacity: Capacity,
    terminal: Terminal,
    started: float,
    still_held: Callable[[], object],
    since: Spent = START,
) -> None:
    """Train recipes, and whatever they start from; Ray must have been started. It returns once all have ended.

    Args:
        run: the run, as it was read a moment ago.
        study: its study.
        splits: its data.
        recipes: what to train, by the names that are shown.
        capacity: the cluster's room, and where trials go.
        terminal: prints lines and the status line.
        started: `time.perf_counter()` when the command began.
        still_held: is called before each file is written, and raises if another driver has taken the run.
        since: what had been spent; a confirmation has no budget.
    """
    everything = replace(run, trials=run.everything)
    known = {trial.id: trial for trial in everything.trials}
    wanted = [one for one in with_ancestors(recipes.values()) if not is_over(known.get(one.id))]
    names = {recipe.id: name for name, recipe in recipes.items()}
    if not wanted:
        return
    begin_anew([trial for one in wanted if (trial := known.get(one.id)) is not None], run.folder, terminal)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    whole = FixedRecipes.of(study)
    parents = {one.id for recipe in wanted for one in (recipe.base, recipe.teacher) if one is not None}
    teachers = frozenset(recipe.teacher.id for recipe in wanted if recipe.teacher is not None)
    fixed = replace(
        whole,
        baselines=(),
        further=tuple(Fixed("confirm", names.get(one.id, f"{BASE}, seed {one.seed}"), one) for one in wanted),
        cells=(),
        parents=frozenset(parents),
        teachers=teachers,
        planned=len(wanted) + 1,
    )
    # Nothing is proposed, stopped early or limited: confirming is outside of the search and its budget.
    budget = Budget(trials=0, retries=study.budget.retries, epoch_timeout=study.budget.epoch_timeout)
    alone = study.model_copy(
        update={"grid": None, "halving": None, "first": (), "budget": budget, "sampler": Sampler(kind="random")}
    )
    past = [one for one in remember(everything) if is_needed(one, {recipe.id for recipe in wanted}, parents)]
    tally = Tally(fixed)
    total = len(wanted) + sum(one.outcome is not None for one in past)
    widest = max(len(one.name) for one in fixed.further)
    progress = Progress(tally, total, capacity.slots, widest, started, terminal.line, terminal.status)
    progress.begin()
    record = Record(run.folder, next_order(remember(everything)), still_held)
    try:
        tune_study(
            alone,
            fixed,
            run.folder,
            splits,
            [tally, record, progress],
            (),
            past,
            finished_ancestors(everything, fixed, splits),
            capacity=capacity,
            hours_before=0.0,
            since=since,
            still_held=still_held,
        )
    finally:
        terminal.status("")
        run.folder.child(TUNE_STATE).remove()


def is_over(trial: Trial | None) -> bool:
    """Return whether a trial has ended for good.

    What an error ended in a confirmation, such as a want of memory, is trained again, since that may go well. What
    diverged or overfitted is a result, and would come to the same again.
    """
    if trial is None or trial.state is State.RUNNING:
        return False
    return trial.state is not State.FAIL or trial.role != CONFIRM


def begin_anew(trials: Iterable[Trial], run: Folder, terminal: Terminal) -> None:
    """Remove what trials have left that failed by an error, so that they begin anew; others go on where they were."""
    for trial in trials:
        if trial.state is State.FAIL:
            terminal.line(f"{trial.id[:8]} failed before ({trial.reason}), and is trained again")
            run.child("trials", trial.id).remove()


def is_needed(past: RememberedTrial, wanted: Collection[str], parents: set[str]) -> bool:
    """Return whether the driver must know a trial: it goes on with it, or it has ended and something starts from it.

    What another confirmation has left unfinished is no business of this one.
    """
    proposal = past.proposal
    if proposal.recipe.id in wanted:
        return past.outcome is None
    return past.outcome is not None and (proposal.name == BASE or proposal.recipe.id in parents)
