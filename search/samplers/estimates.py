"""Computes what a search's model makes of the recipes that finished, from the record of the run."""

import math
from dataclasses import replace

import optuna

from analysis.run.trials import Estimates, Run
from search.recipes.fixed import FixedRecipes
from search.resume.history import remember
from search.resume.replay import replay
from search.samplers.sampler import Restoring, sampler_of
from search.study.study import Study
from trainables.evaluation.metrics import FORESEEN


def estimates_of(run: Run, study: Study) -> Estimates:
    """Return the estimates of all proposals that finished, by recipe id.

    The sampler is told what the search told it, so its model is the one with which the search ended, or goes on.

    Args:
        run: the run.
        study: its study.

    Returns:
        Nothing where the study's sampler has no model, and where too few proposals have ended for one.

    Raises:
        TemperError: the recorded parameters make other recipes in this version, so that they cannot be told.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    fixed = FixedRecipes.of(study)
    sampler = sampler_of(study, fixed, lambda recipe: dict.fromkeys(FORESEEN, math.nan), run.info.get("warm_start", []))
    if not sampler.models_scores:
        return {}
    told = replace(run, trials=tuple(one for one in run.trials if one.ending is not None and one.role != "confirm"))
    past = remember(told)
    replay(past, [Restoring(sampler, past), sampler])
    return sampler.estimates()
