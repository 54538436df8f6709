"""Checks what of a study can be checked without Ray, its data and PyTorch, beyond the types of its keys."""

import os
from pathlib import Path

from search.recipes.finite_space import planned_proposals
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.remote.user_modules import files_to_ship
from search.study.study import Study
from trainables.errors import InvalidInput

DEVICES, GPUS = Path("/dev"), ("nvidia[0-9]*", "dxg", "kfd", "dri/render*", "accel*")  # dxg: WSL; kfd: AMD
ELSEWHERE = "a cluster with more is joined by --address or `temper submit`"


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
    """Check that a trial of every role fits on this machine, for a search that joins no cluster.

    How many GPUs it has, and of which type, is left to Ray; that it has none is known here.

    Raises:
        InvalidInput: this machine has fewer CPUs, or no GPU; it names the role and what can be done.
    """
    if study.resources.pending:
        return
    cpus, gpus = os.cpu_count() or 1, _has_gpus()
    problems = []
    for role, placement in study.resources.placements().items():
        if placement.cpu > cpus:
            got = f"got {placement.cpu} CPUs a trial, expected at most this machine's {cpus}"
            problems.append(f"{_key(study, role, 'cpu')}: {got}; {ELSEWHERE}")
        if placement.gpu and not gpus:
            problems.append(f"{_key(study, role, 'gpu')}: this machine has no GPU, expected 0; {ELSEWHERE}")
    if problems:
        raise InvalidInput(*dict.fromkeys(problems))


def _has_gpus() -> bool:
    """Return whether there is any sign of a GPU, of whichever maker."""
    return any(True for pattern in GPUS for _ in DEVICES.glob(pattern))


def _key(study: Study, role: str, name: str) -> str:
    named = role in study.resources.roles and name in study.resources.roles[role].model_fields_set
    return f"resources.roles.{role}.{name}" if named else f"resources.{name}"
