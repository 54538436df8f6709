"""Implements projected gradient descent (PGD), the multi-step attack, and the ball that it stays in."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import euclidean_length, input_gradient, uniform_noise, unit
from trainables.attacks.config import PGD, Norm


@dataclass(frozen=True, kw_only=True)
class Ball:
    """What an attack may make of a batch of images: all that lies in a ball around each, and in [0, 1].

    Attributes:
        x: the images (batch, channels, height, width).
        epsilon: radius of the ball.
        norm: norm that the radius is measured in.
    """

    x: Tensor
    epsilon: float
    norm: Norm

    def start(self, generator: Generator) -> Tensor:
        """Draws a point uniformly from each ball, clamped to [0, 1]."""
        if self.norm == "linf":
            return (self.x + uniform_noise(self.x, self.epsilon, generator)).clamp(0, 1)
        direction = torch.empty_like(self.x).normal_(generator=generator)
        share = torch.rand(len(self.x), 1, 1, 1, generator=generator, device=self.x.device)
        inside = self.epsilon * share ** (1 / self.x[0].numel())
        return (self.x + inside * unit(direction)).clamp(0, 1)

    def step(self, here: Tensor, size: float | Tensor, gradient: Tensor) -> Tensor:
        """Goes from a point of each ball along the gradient and back into the ball, if the step led out of it.

        An L-infinity step follows the sign of the gradient, an L2 step the gradient divided by its length.

        Args:
            here: a point of each ball (batch, channels, height, width).
            size: length of the step, one for all or one for each image (batch, 1, 1, 1).
            gradient: the direction (batch, channels, height, width).
        """
        return self.nearest(here + size * (gradient.sign() if self.norm == "linf" else unit(gradient)))

    def nearest(self, points: Tensor) -> Tensor:
        """Brings points (batch, channels, height, width) into the balls and into [0, 1]."""
        if self.norm == "linf":
            low, high = (self.x - self.epsilon).clamp(min=0), (self.x + self.epsilon).clamp(max=1)
            return torch.clamp(points, low, high)
        shift = points - self.x
        # Clamping moves every pixel towards x, so the result is inside the ball as well.
        return (self.x + shift * (self.epsilon / euclidean_length(shift)).clamp(max=1)).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class PgdAttack:
    """Attack that climbs the loss by projected gradient steps from a uniform start in the ball (arXiv 1706.06083)."""

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
        ball = Ball(x=x, epsilon=self.epsilon, norm=self.norm)
        adversarial = ball.start(generator)
        for _ in range(self.steps):
            adversarial = ball.step(adversarial, step_size, input_gradient(model, adversarial, target))
        return adversarial
