"""Checks what of a study can be checked without Ray and its data, beyond the types of its keys."""

import os
from functools import partial
from pathlib import Path

from search.recipes.finite_space import planned_proposals
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.remote.user_modules import files_to_ship
from search.study.study import Study
from search.study.user_functions import carry_out, check_importable
from trainables.attacks.config import PGD, Perturbation, UserAttack
from trainables.cpu_limit import usable_cpus
from trainables.errors import InvalidInput
from trainables.user_path import user_path
from trainables.value_forms import counted

DEVICES, GPUS = Path("/dev"), ("nvidia[0-9]*", "dxg", "kfd", "dri/render*", "accel*")  # dxg: WSL; kfd: AMD
ELSEWHERE = "a cluster with more is joined by --address or `temper submit`"


def check_study(study: Study) -> int:
    """Import what a study names, check the proposals that it wants first, and count all that it can make.

    Returns:
        The most proposals that the study can make.

    Raises:
        InvalidInput: functions of the user's or a network of torchvision's cannot be had, proposals of `first` do not
            lie in the space, or files of `ship` are not there; it lists all of them.
    """
    fixed = FixedRecipes.of(study)
    carry_out([partial(check_importable, study), partial(check_first, study, fixed), partial(files_to_ship, study)])
    return planned_proposals(study, fixed)


def oddities(study: Study) -> list[str]:
    """Return what a study says that is allowed and rarely meant, as warnings."""
    return [*_other_norms(study), *_never_reached(study), *_idle_cards(study)]


def _other_norms(study: Study) -> list[str]:
    """Return a warning if a study trains against attacks of another norm than it scores with; empty if it does not.

    That is allowed, as training against one norm protects against the other a little, but rarely meant. Attacks that
    have one norm alone are not counted.
    """
    attacks: dict[str, Perturbation] = {
        f"baselines.{number}.perturbation": one.perturbation for number, one in enumerate(study.baselines)
    }
    for number, arm in enumerate(study.grid.arms if study.grid is not None else ()):
        attacks[f"grid.arms.{number}.perturbation"] = arm.perturbation
    norms = {key: str(one.norm) for key, one in attacks.items() if isinstance(one, PGD | UserAttack)}
    if study.space is not None:
        norms["space.perturbation"] = study.space.perturbation.norm
    scored = study.threat_model.norm
    others = [key for key, norm in norms.items() if norm != scored]
    if not others:
        return []
    trained, keys = next(norms[key] for key in others), ", ".join(others)
    return [f"robustness is scored in {scored}, but trained for in {trained}, which norm: {scored} changes: {keys}"]


def _never_reached(study: Study) -> list[str]:
    """Return a warning if a study wants more proposals first than its budget has trials for."""
    wanted, allowed = len(study.first), study.budget.trials
    if wanted <= allowed:
        return []
    return [f"first lists {counted(wanted, 'proposal')}, of which budget.trials lets {allowed} run"]


def _idle_cards(study: Study) -> list[str]:
    """Return a warning for each key that gives a trial more than one card."""
    cards = {role: one.gpu for role, one in study.resources.placements().items() if one.gpu > 1}
    told = [f"{_key(study, role, 'gpu')}: got {n:g} GPUs a trial, which computes on one" for role, n in cards.items()]
    return list(dict.fromkeys(told))


def absent_folders(study: Study) -> list[str]:
    """Return a line for each folder of images that a study names and this machine has not; a cluster may have it."""
    named = {"data": study.data, "other_data": study.other_data}
    return [
        f"{key}.path: {data.path}: no such folder on this machine, expected one with train/ and test/"
        for key, data in named.items()
        if data is not None and data.path is not None and not user_path(data.path, f"{key}.path").is_dir()
    ]


def check_resources_here(study: Study) -> None:
    """Check that a trial of every role fits into what this machine gives, for a search that joins no cluster.

    How many GPUs it has, and of which type, is left to Ray; that it has none is known here. `resources.pending` does
    not matter: nothing brings a machine of its own further nodes.

    Raises:
        InvalidInput: this machine has, or lets this process use, fewer CPUs, or has no GPU; it names the role and what
            can be done.
    """
    cpus, gpus = usable_cpus(), _has_gpus()
    problems = []
    for role, placement in study.resources.placements().items():
        if placement.cpu > cpus:
            got = f"got {placement.cpu} CPUs a trial, expected at most {cpus_here()}"
            problems.append(f"{_key(study, role, 'cpu')}: {got}; {ELSEWHERE}")
        if placement.gpu and not gpus:
            problems.append(f"{_key(study, role, 'gpu')}: this machine has no GPU, expected 0; {ELSEWHERE}")
    if problems:
        raise InvalidInput(*dict.fromkeys(problems))


def cpus_here() -> str:
    """Say how many CPUs of this machine trials may use, and how many it has where that is more."""
    usable, every = usable_cpus(), os.cpu_count() or 1
    return f"this machine's {every}" if usable >= every else f"the {usable} of this machine's {every} that may be used"


def _has_gpus() -> bool:
    """Return whether there is any sign of a GPU, of whichever maker."""
    return any(True for pattern in GPUS for _ in DEVICES.glob(pattern))


def _key(study: Study, role: str, name: str) -> str:
    named = role in study.resources.roles and name in study.resources.roles[role].model_fields_set
    return f"resources.roles.{role}.{name}" if named else f"resources.{name}"
