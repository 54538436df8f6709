"""Tells whose weights are still needed once a search has ended, and why."""

from collections.abc import Iterator, Sequence

from analysis.evidence.comparisons import confirmed
from analysis.pareto.frontier import frontier
from analysis.run.trials import CONFIRM, Run, Trial
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe


def needed(run: Run, wanted: Sequence[Trial] = ()) -> dict[str, str]:
    """Return the reason why a trial's weights are kept, by its id; those of other trials are not needed.

    Kept are bases and baselines, which others start from and are held against; what is on the frontier, by scores or
    by the model's estimates, and what was confirmed, which are exported; confirmations, which may be attacked again;
    what is wanted; and whatever those descend from.

    Args:
        run: the run, with its model's estimates.
        wanted: further trials.
    """
    kept = {trial.id: "wanted" for trial in wanted}
    kept |= {trial.id: "on the frontier" for trial in (*frontier(run), *frontier(run.estimated({})))}
    kept |= dict.fromkeys(confirmed(run), "confirmed")
    kept |= {trial.id: trial.role for trial in run.everything if trial.role in ("base", "baseline", CONFIRM)}
    complete = [trial for trial in run.everything if trial.state is State.COMPLETE]
    for trial in complete:
        if trial.id in kept:
            for ancestor in _ancestors(Recipe.model_validate(trial.recipe)):
                kept.setdefault(ancestor.id, "others start from it")
    there = {trial.id for trial in complete}
    return {name: why for name, why in kept.items() if name in there}


def _ancestors(recipe: Recipe) -> Iterator[Recipe]:
    for one in (recipe.base, recipe.separate_teacher):
        if one is not None:
            yield one
            yield from _ancestors(one)
