"""Checks that each attack of a study can take a step on the network."""

from torch import Generator, Tensor, nn

from trainables.attacks.attack import perturb
from trainables.attacks.config import Perturbation
from trainables.attacks.registry import attack_of
from trainables.network_check.error_words import in_words
from trainables.network_check.scores import NO_TRY


def check_attack(perturbation: Perturbation, model: nn.Module, x: Tensor, y: Tensor, where: str) -> None:
    """Lets an attack perturb a few images; an attack of several steps takes one.

    Args:
        perturbation: the attack.
        model: the network; one whose buffers may change, since an attack that is not sound runs in train mode.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        where: the study's key that holds the attack, for messages.

    Raises:
        InvalidInput: the attack fails, or does not keep to what it declares.
    """
    generator = Generator(x.device).manual_seed(0)
    with in_words(f"{where}: {perturbation.words()} fails on the network", NO_TRY):
        perturb(attack_of(one_step(perturbation)), model.train(), x, y, generator)


def one_step(perturbation: Perturbation) -> Perturbation:
    """Returns the same perturbation with one step where it has several."""
    several = "steps" in type(perturbation).model_fields
    return perturbation.model_copy(update={"steps": 1}) if several else perturbation
