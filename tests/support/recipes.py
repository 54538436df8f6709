"""Recipes of a study, for tests that need no more of its fixed recipes than that they are there."""

from collections.abc import Iterator
from typing import Any

from search.recipes import choosers, proposals
from search.recipes.fixed import FixedRecipes
from search.study.study import Study
from trainables.recipe.recipe import Recipe


def propose(trial: proposals.Chooser, study: Study) -> Recipe:
    """As `search.recipes.proposals.propose`."""
    return proposals.propose(trial, study, FixedRecipes.of(study))


def combinations(study: Study) -> Iterator[dict[str, Any]]:
    """As `search.recipes.choosers.combinations`."""
    return choosers.combinations(study, FixedRecipes.of(study))
