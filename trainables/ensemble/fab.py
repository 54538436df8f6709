"""Implements FAB, the fast adaptive boundary attack, aimed at one class after the other (arXiv 1907.02044)."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import wrong
from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball
from trainables.ensemble.objectives import SMALLEST, ascent, targeted_difference
from trainables.ensemble.targets import nearest_classes, passes_to_rank

BEYOND = 1.05  # times the way to the plane, so that the step ends beyond it
MOST_OF_X = 0.1  # share of a step that goes to the plane from the image itself, at most
BACK = 0.9  # share of the way from the image that is kept once a network is wrong


@dataclass(frozen=True, kw_only=True)
class FabAttack:
    """FAB: looks for the nearest point where a network is wrong, rather than for the worst one in a ball.

    In each step the network is taken for linear. The step goes to the plane on which the class aimed at and the label
    score equally, in part from here and in part from the image; where it ends beyond the boundary, it turns back
    towards the image.

    Attributes:
        targets: number of classes that are aimed at, the nearest ones first.
        steps: steps for each.
    """

    epsilon: float
    norm: Norm
    targets: int
    steps: int
    sound: bool = True

    @property
    def passes(self) -> int:
        return passes_to_rank(self.targets) + self.targets * (2 * self.steps)

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        found = x.clone()
        standing = torch.arange(len(x), device=x.device)
        ranked = nearest_classes(model, x, target, self.targets, self.norm)
        for rank in range(ranked.shape[1]):
            if not len(standing):
                break
            attempt, broken = self._towards(model, x[standing], target[standing], ranked[standing, rank])
            found[standing[broken]] = attempt[broken]
            standing = standing[~broken]
        return found

    def _towards(self, model: nn.Module, x: Tensor, labels: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Aims at one class for each image; returns points in the balls, and whether the network is wrong there."""
        found, broken = x.clone(), torch.zeros_like(labels, dtype=torch.bool)
        here, rows = x, torch.arange(len(x), device=x.device)
        for _ in range(self.steps):
            if not len(rows):
                break
            image = x[rows]
            here = self._next(model, image, here, labels[rows], targets[rows])
            with torch.no_grad():
                beyond = wrong(model(here), labels[rows])
            hit = beyond & (length(here - image, self.norm) <= self.epsilon)
            found[rows[hit]] = Ball(x=image[hit], epsilon=self.epsilon, norm=self.norm).nearest(here[hit])
            broken[rows[hit]] = True
            here = torch.where(beyond.reshape(-1, 1, 1, 1), image + BACK * (here - image), here)[~hit]
            rows = rows[~hit]
        return found, broken

    def _next(self, model: nn.Module, x: Tensor, here: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        lead, normal, _ = ascent(model, here, labels, targets, targeted_difference)
        from_here = to_plane(here, normal, -lead, self.norm)
        way = (normal * (here - x)).flatten(1).sum(1)
        from_x = to_plane(x, normal, way - lead, self.norm)
        ours, theirs = length(from_here, self.norm), length(from_x, self.norm)
        share = (ours / (ours + theirs).clamp(min=SMALLEST)).clamp(max=MOST_OF_X).reshape(-1, 1, 1, 1)
        return ((1 - share) * (here + BEYOND * from_here) + share * (x + BEYOND * from_x)).clamp(0, 1)


def to_plane(here: Tensor, normal: Tensor, offset: Tensor, norm: Norm) -> Tensor:
    """Returns the shortest shift d with normal · d = offset for which here + d stays in [0, 1].

    Each pixel goes towards the plane until it meets the end of [0, 1]. In L-infinity all go equally fast, in L2 as fast
    as the normal is large there. How far they must go in all is where a sum of ramps, which rises and bends once for
    each pixel, reaches the offset. Where even the corner does not reach it, the shift goes to the corner (arXiv
    1907.02044, section 3.1).

    Args:
        here: points (n, channels, height, width) in [0, 1].
        normal: normals of the planes, of the same shape.
        offset: (n,) how far along the normal each plane lies.
        norm: the norm in which the shift is shortest.

    Returns:
        (n, channels, height, width) shifts.
    """
    scale = normal.flatten(1).abs().amax(1, keepdim=True).clamp(min=torch.finfo(normal.dtype).tiny)
    slopes = normal.flatten(1) / scale * offset.sign()[:, None]  # so that all offsets are above 0, and steepest is 1
    points = here.flatten(1)
    room = torch.where(slopes > 0, 1 - points, points) * (slopes != 0)
    speed = torch.ones_like(slopes) if norm == "linf" else slopes.abs()
    ends, order = (room / speed.clamp(min=SMALLEST)).sort(1)
    gained = (slopes.abs() * room).gather(1, order)  # by each pixel in all, those first that end first
    rates = (slopes.abs() * speed).gather(1, order)  # by each pixel until then
    stopped = gained.cumsum(1)
    moving = rates.flip(1).cumsum(1).flip(1) - rates
    reached = stopped + ends * moving  # along the normal, when a pixel meets its end
    goal = offset.abs()[:, None] / scale
    bend = torch.searchsorted(reached, goal).clamp(max=reached.shape[1] - 1)
    before = torch.where(bend > 0, stopped.gather(1, (bend - 1).clamp(min=0)), 0.0)
    rate = moving.gather(1, bend) + rates.gather(1, bend)
    time = ((goal - before) / rate.clamp(min=SMALLEST)).clamp(min=0)
    time = torch.where(goal > reached[:, -1:], ends[:, -1:], torch.minimum(time, ends.gather(1, bend)))
    return (slopes.sign() * torch.minimum(speed * time, room)).reshape(here.shape)


def length(shift: Tensor, norm: Norm) -> Tensor:
    """Returns the length (n,) of each shift (n, channels, height, width)."""
    flat = shift.flatten(1)
    return flat.abs().amax(1) if norm == "linf" else flat.square().sum(1).sqrt()
