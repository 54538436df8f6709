"""Makes the attack object for a recipe's perturbation, with its warm-up applied."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from operator import attrgetter
from typing import Any, Self, cast

from torch import Generator, Tensor, nn

from trainables.attacks.attack import Attack
from trainables.attacks.config import AttackConfig, NoPerturbation, Norm, Perturbation


@dataclass(frozen=True, kw_only=True)
class Unperturbed:
    """The attack of ordinary training, which returns the images unchanged."""

    passes: int = 0
    norm: Norm = "linf"
    bound: float = 0.0
    sound: bool = True

    @classmethod
    def of(cls, config: NoPerturbation, share: float) -> Self:
        """Makes the attack; configuration and share make no difference."""
        return cls()

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return x


def attack_of(perturbation: Perturbation, share: float = 1.0) -> Attack:
    """Makes the attack that a recipe's perturbation describes, at a share (0–1] of its epsilon and step size.

    Raises:
        InvalidInput: the perturbation is the user's own, and its function cannot be imported or returns no attack.
    """
    return _implementation(perturbation.implementation)(perturbation, share)


def warmed(perturbation: Perturbation, step: int, total: int) -> Attack:
    """Makes the attack of training step 0 … total - 1; its epsilon rises linearly over the steps of the warm-up."""
    steps = perturbation.warm_up * total if isinstance(perturbation, AttackConfig) else 0.0
    return attack_of(perturbation, min(1.0, (step + 1) / steps) if steps else 1.0)


@cache
def _implementation(place: str) -> Callable[[Any, float], Attack]:
    """Imports what a configuration names as `package.module:name`; the name may be that of a class's method."""
    module, _, name = place.partition(":")
    return cast(Callable[[Any, float], Attack], attrgetter(name)(import_module(module)))
