"""Implements projected gradient descent (PGD), the multi-step attack, in L-infinity and L2."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import euclidean_length, input_gradient, uniform_noise, unit
from trainables.attacks.config import PGD, Norm


@dataclass(frozen=True, kw_only=True)
class PgdAttack:
    """Attack that climbs the loss by projected gradient steps from a uniform start in the ball (arXiv 1706.06083).

    An L-infinity step follows the sign of the gradient, an L2 step the gradient divided by its length. In both norms
    the result stays in [0, 1].
    """

    epsilon: float
    steps: int
    norm: Norm = "linf"
    step_size: float | None = None
    sound: bool = True

    @classmethod
    def of(cls, config: PGD, share: float) -> Self:
        """Makes the attack that a recipe describes, at a share (0–1] of its epsilon and step size."""
        step_size = None if config.step_size is None else share * config.step_size
        return cls(epsilon=share * config.epsilon, steps=config.steps, norm=config.norm, step_size=step_size)

    @property
    def passes(self) -> int:
        return self.steps

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        step_size = 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size
        if self.norm == "l2":
            return self._in_l2(model, x, target, generator, step_size)
        low, high = (x - self.epsilon).clamp(min=0), (x + self.epsilon).clamp(max=1)
        adversarial = (x + uniform_noise(x, self.epsilon, generator)).clamp(0, 1)
        for _ in range(self.steps):
            gradient = input_gradient(model, adversarial, target)
            adversarial = torch.clamp(adversarial + step_size * gradient.sign(), low, high)
        return adversarial

    def _in_l2(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator, step_size: float) -> Tensor:
        direction = torch.empty_like(x).normal_(generator=generator)
        share = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) ** (1 / x[0].numel())
        adversarial = (x + self.epsilon * share * unit(direction)).clamp(0, 1)
        for _ in range(self.steps):
            shift = adversarial + step_size * unit(input_gradient(model, adversarial, target)) - x
            # Clamping moves every pixel towards x, so the result is inside the ball as well.
            adversarial = (x + shift * (self.epsilon / euclidean_length(shift)).clamp(max=1)).clamp(0, 1)
        return adversarial
