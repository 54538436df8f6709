"""Implements the attack that scores every recipe of a search: two losses, one after the other, with falling steps."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import cross_entropy_gradient, margin_gradient
from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball

GradientOf = Callable[[nn.Module, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True, kw_only=True)
class ScoringAttack:
    """Attack that climbs the cross-entropy for half of its steps, and the margin of the best other class for the rest.

    The step falls from 2 epsilon to 0 as half of a cosine, and from epsilon to 0 for the margin, which begins where the
    cross-entropy ended. Each image is left where the network first gets it wrong, so that no pass is spent on it any
    more: the passes are those of PGD at most. Margin loss: arXiv 1608.04644, objective f6. Steps that fall, and two
    losses of which the worst case by image counts: arXiv 2003.01690, sections 4 and 5.
    """

    epsilon: float
    steps: int
    norm: Norm = "linf"
    sound: bool = True

    @property
    def passes(self) -> int:
        return self.steps

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        found = Ball(x=x, epsilon=self.epsilon, norm=self.norm).start(generator)
        standing = torch.arange(len(x), device=x.device)
        for gradient_of, size in self._plan():
            if not len(standing):
                break
            here, labels = found[standing], target[standing]
            gradient, scores = gradient_of(model, here, labels)
            right = scores.argmax(1) == labels
            standing = standing[right]
            ball = Ball(x=x[standing], epsilon=self.epsilon, norm=self.norm)
            found[standing] = ball.step(here[right], size, gradient[right])
        return found

    def _plan(self) -> list[tuple[GradientOf, float]]:
        """Returns the loss and the length of each step."""
        half, rest = math.ceil(self.steps / 2), self.steps // 2
        return [
            (gradient_of, longest * self.epsilon * (1 + math.cos(math.pi * step / steps)) / 2)
            for gradient_of, longest, steps in ((cross_entropy_gradient, 2.0, half), (margin_gradient, 1.0, rest))
            for step in range(steps)
        ]
