"""Finds the user's functions that a study names, and checks that they can be imported and used."""

from collections.abc import Callable, Sequence
from functools import partial

from search.study.space import PerturbationSpace
from search.study.study import Study
from trainables.attacks.config import Perturbation, UserAttack, attack_config
from trainables.compression.config import Compression, Quantization, UserCompression
from trainables.errors import InvalidInput
from trainables.user_code import TORCHVISION, references, user_function


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


def user_compressors(study: Study) -> dict[str, tuple[UserCompression, Quantization | None]]:
    """Return the user's compression methods that a study names, by their key in the study.

    Each comes with the quantization that follows it, or None.
    """
    named: dict[str, tuple[Compression, Quantization | None]] = {
        f"baselines.{number}.compression": (one.compression, one.quantization)
        for number, one in enumerate(study.baselines)
    }
    for number, one in enumerate(study.space.compression.alternatives if study.space else ()):
        named[f"space.compression.alternatives.{number}"] = one, None
    return {key: (one, after) for key, (one, after) in named.items() if isinstance(one, UserCompression)}


def check_user_functions(study: Study) -> None:
    """Check that every attack and every compression method of the user's that a study names can be made.

    Raises:
        InvalidInput: some cannot; it lists every problem by its key in the study.
    """
    attacks, methods = user_attacks(study), user_compressors(study)
    checks: list[Callable[[], object]] = []
    if attacks:
        from trainables.attacks.user_attack import check_user_attack  # late, as below: it imports PyTorch

        checks += [partial(check_user_attack, attack, key) for key, attack in attacks.items()]
    if methods:
        from trainables.compression.user_compressor import user_compressor

        checks += [partial(user_compressor, one, seed=study.seed, where=key) for key, (one, _) in methods.items()]
    carry_out(checks)


def check_importable(study: Study) -> None:
    """Check that every function of the user's that a study names can be imported, and that torchvision has its network.

    Raises:
        InvalidInput: some cannot; it lists every problem by its key in the study.
    """
    checks: list[Callable[[], object]] = [
        partial(user_function, reference, key) for key, reference in references(study).items()
    ]
    if study.model.name.startswith(TORCHVISION):
        from trainables.models.build import check_torchvision  # late, as it imports PyTorch

        checks.append(partial(check_torchvision, study.model.name.removeprefix(TORCHVISION)))
    carry_out(checks)


def carry_out(checks: Sequence[Callable[[], object]]) -> None:
    """Make all checks, and raise InvalidInput with the problems of all that fail."""
    problems: list[str] = []
    for check in checks:
        try:
            check()
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
