"""Implements the single-step attacks of fast adversarial training: FGSM from a random start, and N-FGSM."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import input_gradient, uniform_noise
from trainables.attacks.config import FGSM, NFGSM, Norm


@dataclass(frozen=True, kw_only=True)
class FgsmAttack:
    """Attack of fast adversarial training (arXiv 2001.03994, algorithm 3): uniform start, one step, projection."""

    epsilon: float
    step_size: float | None = None
    passes: int = 1
    norm: Norm = "linf"
    sound: bool = True

    @classmethod
    def of(cls, config: FGSM, share: float) -> Self:
        """Makes the attack that a recipe describes, at a share (0–1] of its epsilon and step size."""
        step_size = None if config.step_size is None else share * config.step_size
        return cls(epsilon=share * config.epsilon, step_size=step_size)

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        step_size = 1.25 * self.epsilon if self.step_size is None else self.step_size
        start = (x + uniform_noise(x, self.epsilon, generator)).clamp(0, 1)
        stepped = start + step_size * input_gradient(model, start, target).sign()
        return torch.clamp(stepped, (x - self.epsilon).clamp(min=0), (x + self.epsilon).clamp(max=1))


@dataclass(frozen=True, kw_only=True)
class NFgsmAttack:
    """N-FGSM (arXiv 2202.01181, algorithm 1): adds noise in ±2 epsilon, then takes one step of epsilon, unprojected.

    The noisy image and the result are clamped to [0, 1] as in the authors' code; the result may be 3 epsilon from x.
    """

    epsilon: float
    passes: int = 1
    norm: Norm = "linf"
    sound: bool = True

    @classmethod
    def of(cls, config: NFGSM, share: float) -> Self:
        """Makes the attack that a recipe describes, at a share (0–1] of its epsilon."""
        return cls(epsilon=share * config.epsilon)

    @property
    def bound(self) -> float:
        return 3 * self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        noisy = (x + uniform_noise(x, 2 * self.epsilon, generator)).clamp(0, 1)
        return (noisy + self.epsilon * input_gradient(model, noisy, target).sign()).clamp(0, 1)
