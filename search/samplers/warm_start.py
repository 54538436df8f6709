"""Collects the proposals of earlier runs from which a new search's sampler learns before it begins."""

from collections.abc import Callable, Sequence
from typing import Any

from analysis.run.trials import Run
from search.recipes.fixed import FixedRecipes
from search.samplers.past_choices import past_choices
from search.study.constraints import eligible
from search.study.space import BASE, SCRATCH
from search.study.study import Study
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe

PastTrial = dict[str, Any]  # state, params, distributions (as Optuna's JSON), values (None unless complete)


def past_trials_of(
    runs: Sequence[Run], study: Study, fixed: FixedRecipes, say: Callable[[str], object]
) -> list[PastTrial]:
    """Return the proposals of earlier runs whose scores hold for a study too: of the same start, scored the same way.

    They start from the study's base, or, where its own proposals may, from scratch with the same data and network, and
    lie in the study's space. Proposals that infrastructure ended (FAIL) are left out. Those that break a constraint of
    the study, or are no better than chance, count as pruned.

    Args:
        runs: the earlier runs.
        study: the study that begins.
        fixed: its fixed recipes.
        say: is told how many proposals of a run lie outside of the space.

    Raises:
        InvalidInput: a run has no such proposal, or was scored in another way.
    """
    protocol = study.protocol.model_dump()
    words = " or ".join(
        "from this study's base" if one == BASE else "from scratch with its data and network" for one in _starts(study)
    )
    past_trials: list[PastTrial] = []
    for run in runs:
        theirs = {"attack": ScoringProtocol.model_fields["attack"].default, **run.info["evaluation"]}
        other = [
            f"{key} was {theirs.get(key)}, here {ours}" for key, ours in protocol.items() if theirs.get(key) != ours
        ]
        if other:
            raise InvalidInput(
                f"--warm-start {run.folder}: was scored otherwise ({', '.join(other)}), expected the same"
            )
        found, outside = [], 0
        for trial in run.trials:
            if trial.role != "proposed" or trial.state not in (State.COMPLETE, State.PRUNED):
                continue
            recipe = Recipe.model_validate(trial.recipe)
            values = [trial.metrics.get(name) for name in study.objectives]
            if not _starts_alike(recipe, study, fixed) or (trial.metrics and None in values):
                continue
            chosen = past_choices(recipe, trial.params, study, fixed)
            if chosen is None:
                outside += 1
                continue
            params, distributions = chosen
            dense = run.base.metrics if run.base else {}
            useful = bool(trial.metrics) and eligible(study.constraints, trial.metrics, dense)
            found.append(
                {
                    "state": (State.COMPLETE if useful else State.PRUNED).value,
                    "params": params,
                    "distributions": distributions,
                    "values": values if useful else None,
                }
            )
        if not found:
            why = f"starts {words}" if not outside else "that starts so lies in this study's space"
            raise InvalidInput(f"--warm-start {run.folder}: no proposal of it {why}")
        if outside:
            say(f"{run.folder}: {outside} of its proposals lie outside of this study's space, and teach nothing")
        past_trials += found
    return past_trials


def _starts_alike(recipe: Recipe, study: Study, fixed: FixedRecipes) -> bool:
    """Return whether proposals of a study may start as a recipe does."""
    if recipe.base is not None:
        return recipe.base.id in {base.id for base in fixed.searched_bases}
    ours = fixed.base.recipe
    return SCRATCH in _starts(study) and (recipe.data, recipe.model) == (ours.data, ours.model)


def _starts(study: Study) -> tuple[str, ...]:
    return study.space.base if study.space is not None else ()
