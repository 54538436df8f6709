"""Implements PGD that begins at directions which broke other images, where random starts have failed."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball
from trainables.ensemble.apgd import climb
from trainables.ensemble.objectives import margin


@dataclass(frozen=True, eq=False)
class Directions:
    """Shifts that broke images so far.

    Attributes:
        shifts: (found, channels, height, width).
        labels: (found,) labels of those images.
    """

    shifts: Tensor
    labels: Tensor


@dataclass(frozen=True, kw_only=True)
class RestartedAttack:
    """Climbs the margin from that shift of other images which raises it most.

    A network has directions that break many images (arXiv 1610.08401), so these are better starts than noise.

    Attributes:
        directions: the shifts that broke other images; without any, noise is the start.
        tried: how many of them are tried on each image, those of its own class first; each takes a pass.
        steps: steps from the best of them.
    """

    epsilon: float
    norm: Norm
    directions: Directions
    tried: int
    steps: int
    sound: bool = True

    @property
    def passes(self) -> int:
        return self.tried + self.steps + 1

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        ball = Ball(x=x, epsilon=self.epsilon, norm=self.norm)
        start = ball.start(generator)
        best = torch.full((len(x),), -math.inf, device=x.device)
        picked = self._picked(target, generator)
        for rank in range(picked.shape[1]):
            tried = ball.nearest(x + self.directions.shifts[picked[:, rank]])
            with torch.no_grad():
                values = margin(model(tried).float(), target, target)
            better = values > best
            start = torch.where(better.reshape(-1, 1, 1, 1), tried, start)
            best = torch.where(better, values, best)
        return climb(model, ball, target, target, start, objective=margin, steps=self.steps)

    def _picked(self, labels: Tensor, generator: Generator) -> Tensor:
        """Draws which directions are tried on each image (n, tried), without replacement."""
        known = self.directions.labels
        order = torch.rand(len(labels), len(known), generator=generator, device=labels.device)
        order = order + (known == labels[:, None])  # those of its own class come before all others
        return order.topk(min(self.tried, len(known)), dim=1).indices
