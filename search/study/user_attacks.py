"""Finds the user's attacks that a study names, and checks that each can be made."""

from search.study.space import PerturbationSpace
from search.study.study import Study
from trainables.attacks.config import Perturbation, UserAttack, attack_config
from trainables.errors import InvalidInput


def user_attacks(study: Study) -> dict[str, UserAttack]:
    """Return the user's attacks that a study names, by their key in the study.

    Attacks of the space have the largest epsilon that is searched.
    """
    named: dict[str, Perturbation] = {
        f"baselines.{number}.perturbation.kind": baseline.perturbation
        for number, baseline in enumerate(study.baselines)
    }
    if study.grid is not None:
        named |= {
            f"grid.arms.{number}.perturbation.kind": arm.perturbation for number, arm in enumerate(study.grid.arms)
        }
    if study.space is not None:
        named |= _of_space(study.space.perturbation)
    return {key: attack for key, attack in named.items() if isinstance(attack, UserAttack)}


def check_user_attacks(study: Study) -> None:
    """Check that every attack of the user's that a study names can be made.

    Raises:
        InvalidInput: some cannot; it lists every problem by its key in the study.
    """
    attacks = user_attacks(study)
    if not attacks:
        return
    from trainables.attacks.user_attack import check_user_attack  # late: it imports PyTorch

    problems: list[str] = []
    for key, attack in attacks.items():
        try:
            check_user_attack(attack, key)
        except InvalidInput as error:
            problems += error.problems
    if problems:
        raise InvalidInput(*problems)


def _of_space(space: PerturbationSpace) -> dict[str, Perturbation]:
    return {
        f"space.perturbation.kind.{number}": UserAttack(kind=kind, norm=space.norm, epsilon=space.epsilon.high)
        for number, kind in enumerate(space.kind)
        if attack_config(kind) is UserAttack
    }
