"""Collects the proposals of earlier runs from which a new search's sampler learns before it begins."""

from collections.abc import Sequence
from typing import Any

from analysis.run.trials import Run
from search.recipes.fixed import FixedRecipes
from search.study.constraints import eligible
from search.study.study import Study
from trainables.errors import InvalidInput
from trainables.evaluation.config import Evaluation
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe

PastTrial = dict[str, Any]  # state, params, distributions (as Optuna's JSON), values (None unless complete)


def past_trials_of(runs: Sequence[Run], study: Study, fixed: FixedRecipes) -> list[PastTrial]:
    """Return the proposals of earlier runs whose scores hold for a study too: of the same base, scored the same way.

    Proposals that infrastructure ended (FAIL) are left out. Those that break a constraint of the
    study, or are no better than chance, count as pruned.

    Args:
        runs: the earlier runs.
        study: the study that begins.
        fixed: its fixed recipes.

    Raises:
        InvalidInput: a run has no such proposal, or was scored in another way.
    """
    bases, protocol = {base.id for base in fixed.searched_bases}, study.protocol.model_dump()
    past_trials: list[PastTrial] = []
    for run in runs:
        theirs = {"attack": Evaluation.model_fields["attack"].default, **run.info["evaluation"]}
        other = [
            f"{key} was {theirs.get(key)}, here {ours}" for key, ours in protocol.items() if theirs.get(key) != ours
        ]
        if other:
            raise InvalidInput(
                f"--warm-start {run.folder}: was scored otherwise ({', '.join(other)}), expected the same"
            )
        found = []
        for trial in run.trials:
            if trial.role != "proposed" or trial.state not in (State.COMPLETE, State.PRUNED):
                continue
            base = Recipe.model_validate(trial.recipe).base
            values = [trial.metrics.get(name) for name in study.objectives]
            if base is None or base.id not in bases or (trial.metrics and None in values):
                continue
            dense = run.base.metrics if run.base else {}
            useful = bool(trial.metrics) and eligible(study.constraints, trial.metrics, dense)
            found.append(
                {
                    "state": (State.COMPLETE if useful else State.PRUNED).value,
                    "params": trial.params,
                    "distributions": trial.distributions,
                    "values": values if useful else None,
                }
            )
        if not found:
            raise InvalidInput(f"--warm-start {run.folder}: no proposal of it starts from this study's base")
        past_trials += found
    return past_trials
