"""Checks what of a study can be checked without Ray, its data and PyTorch, beyond the types of its keys."""

import os

from cluster.placement.placement import Placement
from search.recipes.finite_space import planned_proposals
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.remote.user_modules import files_to_ship
from search.study.study import Study
from trainables.errors import InvalidInput


def check_study(study: Study) -> int:
    """Check the proposals that a study wants first, and count all that it can make.

    Returns:
        The most proposals that the study can make.

    Raises:
        InvalidInput: a proposal of `first` does not lie in the space, or a file of `ship` is not there.
    """
    fixed = FixedRecipes.of(study)
    check_first(study, fixed)
    files_to_ship(study)
    return planned_proposals(study, fixed)


def check_resources_here(study: Study) -> None:
    """Check that a trial of every role has enough CPUs on this machine, for a search that joins no cluster.

    Raises:
        InvalidInput: this machine has fewer; it names the role and what can be done.
    """
    have, resources = os.cpu_count() or 1, study.resources
    problems = {
        _key(study, role): placement for role, placement in resources.placements().items() if placement.cpu > have
    }
    if problems and not resources.pending:
        raise InvalidInput(*(_too_many(key, placement, have) for key, placement in problems.items()))


def _key(study: Study, role: str) -> str:
    named = role in study.resources.roles and "cpu" in study.resources.roles[role].model_fields_set
    return f"resources.roles.{role}.cpu" if named else "resources.cpu"


def _too_many(key: str, placement: Placement, have: int) -> str:
    return (
        f"{key}: got {placement.cpu} CPUs a trial, expected at most this machine's {have}; a cluster with more is "
        "joined by --address or `temper submit`"
    )
