"""The attack object for each kind of perturbation that a recipe may name, with its warm-up applied."""

import dataclasses
from dataclasses import dataclass

from torch import Generator, Tensor, nn

from trainables.attacks.adver_fine import PublishedPgdAttack
from trainables.attacks.attack import Attack
from trainables.attacks.config import FGSM, NFGSM, PGD, NoPerturbation, Norm, Perturbation, PublishedPGD
from trainables.attacks.fgsm import FgsmAttack, NFgsmAttack
from trainables.attacks.pgd import PgdAttack


@dataclass(frozen=True, kw_only=True)
class Unperturbed:
    """Ordinary training: x itself."""

    passes: int = 0
    norm: Norm = "linf"
    bound: float = 0.0
    sound: bool = True

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return x


def attack_of(perturbation: Perturbation, share: float = 1.0) -> Attack:
    """The attack that a recipe's perturbation describes, at a share (0–1] of its epsilon and step size."""
    match perturbation:
        case NoPerturbation():
            return Unperturbed()
        case FGSM():
            attack: FgsmAttack | PgdAttack = FgsmAttack(epsilon=perturbation.epsilon, step_size=perturbation.step_size)
        case NFGSM():
            return NFgsmAttack(epsilon=share * perturbation.epsilon)
        case PublishedPGD():
            return PublishedPgdAttack(epsilon=share * perturbation.epsilon, steps=perturbation.steps)
        case PGD():
            attack = PgdAttack(
                epsilon=perturbation.epsilon,
                steps=perturbation.steps,
                norm=perturbation.norm,
                step_size=perturbation.step_size,
            )
    step_size = None if attack.step_size is None else share * attack.step_size
    return dataclasses.replace(attack, epsilon=share * attack.epsilon, step_size=step_size)


def warmed(perturbation: Perturbation, step: int, total: int) -> Attack:
    """The attack of training step 0 … total - 1: its epsilon rises in a line over the warm-up's steps."""
    steps = 0.0 if isinstance(perturbation, NoPerturbation) else perturbation.warm_up * total
    return attack_of(perturbation, min(1.0, (step + 1) / steps) if steps else 1.0)
