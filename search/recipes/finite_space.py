"""Counts the proposals that a study can make: no more than its space holds recipes, if the space is finite."""

from itertools import islice

import numpy as np

from search.recipes.choosers import RandomChooser, combinations
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.study.study import Study

LOOKED_AT = 20_000  # combinations of parameters after which counting ends, which takes a few seconds


def planned_proposals(study: Study, fixed: FixedRecipes) -> int:
    """Return how many proposals a study will make at most: its budget, or all recipes of a finite space.

    Combinations that come to the same recipe count once, since it is trained once, and those that come to a fixed
    recipe not at all.

    Args:
        study: the study.
        fixed: its fixed recipes.
    """
    trials = study.budget.trials
    if study.space is None or study.space.endless or not trials:
        return trials
    ids, run_anyway = set[str](), {one.recipe.id for one in fixed}
    looked_at, rng = 0, np.random.default_rng(0)  # nothing is drawn, since all parameters are given
    for params in islice(combinations(study, fixed), LOOKED_AT):
        looked_at += 1
        ids |= {propose(RandomChooser(rng, params), study, fixed).id} - run_anyway
        if len(ids) == trials:
            return trials
    return len(ids) if looked_at < LOOKED_AT else trials


def planned_recipes(study: Study, fixed: FixedRecipes) -> int:
    """Return how many recipes a study runs at most, fixed ones and proposals together."""
    return fixed.planned - study.budget.trials + planned_proposals(study, fixed)
