"""Implements Auto-PGD, whose steps shrink by themselves (arXiv 2003.01690, algorithm 1), untargeted and targeted."""

import math
from dataclasses import dataclass, fields
from typing import Self

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import wrong
from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball
from trainables.ensemble.objectives import Objective, ascent, log_odds, targeted_dlr
from trainables.ensemble.targets import nearest_classes, passes_to_rank

MOMENTUM = 0.75  # share of a step that follows the gradient; the rest goes on as the step before it did
RISING = 0.75  # share of the steps since the last check that must have raised the objective
FIRST_CHECK, SHORTER, SHORTEST = 0.22, 0.03, 0.06  # shares of the steps: first check, how gaps between checks shrink


@dataclass(frozen=True, kw_only=True)
class ApgdAttack:
    """Auto-PGD on the log odds against the label, which climb as the cross-entropy does, from a uniform start."""

    epsilon: float
    norm: Norm
    steps: int
    sound: bool = True

    @property
    def passes(self) -> int:
        return self.steps + 1

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        ball = Ball(x=x, epsilon=self.epsilon, norm=self.norm)
        return climb(model, ball, target, target, ball.start(generator), objective=log_odds, steps=self.steps)


@dataclass(frozen=True, kw_only=True)
class TargetedApgdAttack:
    """Auto-PGD on the targeted difference-of-logits ratio, aimed at one class after the other, the nearest one first.

    Attributes:
        targets: number of classes that are aimed at; fewer where there are fewer.
        steps: steps for each.
    """

    epsilon: float
    norm: Norm
    targets: int
    steps: int
    sound: bool = True

    @property
    def passes(self) -> int:
        return passes_to_rank(self.targets) + self.targets * (self.steps + 2)  # a start, and a look at the result

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        found = x.clone()
        standing = torch.arange(len(x), device=x.device)
        ranked = nearest_classes(model, x, target, self.targets, self.norm)
        for rank in range(ranked.shape[1]):
            ball = Ball(x=x[standing], epsilon=self.epsilon, norm=self.norm)
            labels, aims = target[standing], ranked[standing, rank]
            start = ball.start(generator)
            found[standing] = climb(model, ball, labels, aims, start, objective=targeted_dlr, steps=self.steps)
            with torch.no_grad():
                standing = standing[~wrong(model(found[standing]), labels)]
            if not len(standing):
                break
        return found


@dataclass
class _Images:
    """The images that still stand, one row each.

    Attributes:
        place: their places in the batch.
        x, here, before, best: the image, where the attack is, where it was, and where the objective was largest.
        labels, targets: their labels, and the classes aimed at.
        value, best_value, checked_value: the objective here, the largest so far, and that at the last check.
        gradient, best_gradient: its gradient here, and where it was largest.
        size, checked_size: length of a step (rows, 1, 1, 1), and that at the last check.
        rises: steps since the last check that raised the objective.
    """

    place: Tensor
    x: Tensor
    here: Tensor
    before: Tensor
    best: Tensor
    labels: Tensor
    targets: Tensor
    value: Tensor
    best_value: Tensor
    checked_value: Tensor
    gradient: Tensor
    best_gradient: Tensor
    size: Tensor
    checked_size: Tensor
    rises: Tensor

    def where(self, keep: Tensor) -> Self:
        """Returns the rows to be kept."""
        return type(self)(*(getattr(self, one.name)[keep] for one in fields(self)))


def climb(
    model: nn.Module, ball: Ball, labels: Tensor, targets: Tensor, start: Tensor, *, objective: Objective, steps: int
) -> Tensor:
    """Climbs an objective from a point of each ball, and leaves an image where the network gets it wrong.

    Args:
        model: the network, in eval mode.
        ball: the images, and how far from each it may go.
        labels: their labels (n,).
        targets: the classes aimed at (n,).
        start: where to begin (n, channels, height, width).
        objective: what is raised.
        steps: steps at most; each takes a pass, and so does the start.

    Returns:
        Where the network is wrong, or else where the objective was largest (n, channels, height, width).
    """
    found = start.clone()
    value, gradient, scores = ascent(model, start, labels, targets, objective)
    size = torch.full_like(value, 2 * ball.epsilon).reshape(-1, 1, 1, 1)
    place = torch.arange(len(start), device=start.device)
    rises = torch.zeros_like(value)
    images = _Images(
        place, ball.x, start, start, start, labels, targets, value, value, value, gradient, gradient, size, size, rises
    ).where(~wrong(scores, labels))
    checks, last_check = _checks(steps), 0
    for step in range(1, steps + 1):
        if not len(images.place):
            break
        _step(images, ball, MOMENTUM if step > 1 else 1.0)
        value, images.gradient, scores = ascent(model, images.here, images.labels, images.targets, objective)
        images.rises = images.rises + (value > images.value)
        images.value = value
        _remember_the_best(images)
        broken = wrong(scores, images.labels)
        found[images.place] = torch.where(broken.reshape(-1, 1, 1, 1), images.here, images.best)
        images = images.where(~broken)
        if step in checks:
            _check(images, step - last_check)
            last_check = step
    return found


def _step(images: _Images, ball: Ball, momentum: float) -> None:
    around = Ball(x=images.x, epsilon=ball.epsilon, norm=ball.norm)
    ahead = around.step(images.here, images.size, images.gradient)
    going_on = momentum * (ahead - images.here) + (1 - momentum) * (images.here - images.before)
    images.before, images.here = images.here, around.nearest(images.here + going_on)


def _remember_the_best(images: _Images) -> None:
    better = images.value > images.best_value
    wide = better.reshape(-1, 1, 1, 1)
    images.best = torch.where(wide, images.here, images.best)
    images.best_gradient = torch.where(wide, images.gradient, images.best_gradient)
    images.best_value = torch.where(better, images.value, images.best_value)


def _check(images: _Images, since: int) -> None:
    """Halves the steps of images that get no higher, and takes them back to where the objective was largest."""
    unchanged = (images.checked_size == images.size).flatten() & (images.checked_value == images.best_value)
    halved = (images.rises < RISING * since) | unchanged
    wide = halved.reshape(-1, 1, 1, 1)
    images.checked_size, images.checked_value = images.size, images.best_value
    images.size = torch.where(wide, images.size / 2, images.size)
    images.here = torch.where(wide, images.best, images.here)
    images.before = torch.where(wide, images.best, images.before)
    images.gradient = torch.where(wide, images.best_gradient, images.gradient)
    images.value = torch.where(halved, images.best_value, images.value)
    images.rises = torch.zeros_like(images.rises)


def _checks(steps: int) -> set[int]:
    """Returns the steps after which the length of a step is checked."""
    made, share, gap = set[int](), FIRST_CHECK, FIRST_CHECK
    while round(share, 6) <= 1:
        made.add(math.ceil(round(share * steps, 6)))
        gap = max(gap - SHORTER, SHORTEST)
        share += gap
    return made
