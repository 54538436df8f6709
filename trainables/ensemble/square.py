"""Implements the Square attack, a random search that asks a network for scores and needs no gradient."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import unit, wrong
from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball
from trainables.ensemble.objectives import margin

FIRST_SHARE = 0.8  # of an image's area, that the first squares cover
HALVED_AFTER = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)  # of 10,000 queries, as published


@dataclass(frozen=True, kw_only=True)
class SquareAttack:
    """The Square attack (arXiv 1912.00049, algorithms 1 to 3).

    It begins with stripes (L-infinity) or with a pattern of bumps (L2). Then it changes one random square of each
    image, of a size that falls as published, and keeps what raises the margin.

    Attributes:
        queries: scores asked for of each image, at most.
    """

    epsilon: float
    norm: Norm
    queries: int
    sound: bool = True

    @property
    def passes(self) -> int:
        return self.queries

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        found = self._start(x, generator)
        values, standing = _values(model, found, target)
        rows = torch.arange(len(x), device=x.device)[standing]
        values = values[standing]
        for query in range(1, self.queries):
            if not len(rows):
                break
            side = _side(query / self.queries, x, self.norm)
            tried = self._changed(x[rows], found[rows], side, generator)
            new_values, stands = _values(model, tried, target[rows])
            better = (new_values > values) | ~stands
            found[rows[better]] = tried[better]
            values = torch.where(better, new_values, values)[stands]
            rows = rows[stands]
        return found

    def _start(self, x: Tensor, generator: Generator) -> Tensor:
        ball = Ball(x=x, epsilon=self.epsilon, norm=self.norm)
        if self.norm == "linf":
            return ball.nearest(x + self.epsilon * _signs((*x.shape[:2], 1, x.shape[3]), x, generator))
        side = max(3, min(x.shape[2:]) // 5)
        pattern = torch.zeros_like(x)
        for top in range(0, x.shape[2] - side + 1, side):
            for left in range(0, x.shape[3] - side + 1, side):
                signs = _signs((*x.shape[:2], 1, 1), x, generator)
                pattern[:, :, top : top + side, left : left + side] = signs * _bumps(side, side, x)
        return ball.nearest(x + self.epsilon * unit(pattern))

    def _changed(self, x: Tensor, here: Tensor, side: int, generator: Generator) -> Tensor:
        """Changes one square of each image; a ball is never left."""
        ball = Ball(x=x, epsilon=self.epsilon, norm=self.norm)
        inside = _squares(x, side, generator)
        if self.norm == "linf":
            signs = _signs((*x.shape[:2], 1, 1), x, generator)
            return ball.nearest(torch.where(inside, x + self.epsilon * signs, here))
        return ball.nearest(self._moved(x, here, side, inside, generator))

    def _moved(self, x: Tensor, here: Tensor, side: int, inside: Tensor, generator: Generator) -> Tensor:
        """Takes the length of a shift that lies in two squares, and what is left of epsilon, to bumps in one of them.

        Each channel keeps the length that it has there; what is left of epsilon is shared evenly.
        """
        emptied = _squares(x, side, generator)
        shift = here - x
        both = inside | emptied
        kept = torch.where(both, 0.0, shift)
        left = (self.epsilon**2 - shift.square().sum((1, 2, 3), keepdim=True)).clamp(min=0) / x.shape[1]
        length = ((shift - kept).square().sum((2, 3), keepdim=True) + left).sqrt()  # (n, channels, 1, 1)
        bumps = _placed(_bumps(side, side, x), inside, x) * _signs((*x.shape[:2], 1, 1), x, generator)
        old = torch.where(inside, shift, 0.0)
        new = bumps + old / _channel_length(old)
        return x + kept + length * new / _channel_length(new)


def _values(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the margin of each image, and whether it still stands."""
    with torch.no_grad():
        scores = model(x).float()
    return margin(scores, labels, labels), ~wrong(scores, labels)


def _side(done: float, x: Tensor, norm: Norm) -> int:
    """Returns the side of the squares, in pixels, once a share of the queries is done; in L2 it is odd."""
    halvings = sum(10_000 * done > limit for limit in HALVED_AFTER)
    side, most = round(math.sqrt(FIRST_SHARE / 2.0**halvings * x.shape[2] * x.shape[3])), min(x.shape[2:])
    return max(1, min(side if norm == "linf" else side + 1 - side % 2, most))


def _squares(x: Tensor, side: int, generator: Generator) -> Tensor:
    """Returns one random square of each image as a mask (n, 1, height, width)."""
    rows, columns = (_span(x, axis, side, generator) for axis in (2, 3))
    return rows[:, None, :, None] & columns[:, None, None, :]


def _span(x: Tensor, axis: int, side: int, generator: Generator) -> Tensor:
    """Returns which places of an axis lie in a random span of each image (n, places)."""
    size = x.shape[axis]
    first = torch.randint(size - side + 1, (len(x), 1), generator=generator, device=x.device)
    places = torch.arange(size, device=x.device)
    return (places >= first) & (places < first + side)


def _signs(shape: tuple[int, ...], x: Tensor, generator: Generator) -> Tensor:
    """Returns random signs, -1 or 1."""
    return (2 * torch.randint(2, shape, generator=generator, device=x.device) - 1).to(x.dtype)


def _bumps(height: int, width: int, x: Tensor) -> Tensor:
    """Returns two bumps of opposite sign, one over the other, of length 1 in all (height, width)."""
    upper = _bump(height // 2, width, x)
    lower = -_bump(height - height // 2, width, x)
    both = torch.cat([upper, lower])
    return both / both.square().sum().sqrt().clamp(min=1e-12)


def _bump(height: int, width: int, x: Tensor) -> Tensor:
    """Returns a bump that grows in square rings towards its middle (arXiv 1912.00049, section 3.4)."""
    if not height:
        return x.new_zeros(0, width)
    bump = x.new_zeros(height, width)
    for ring in range((max(height, width) + 1) // 2):
        top, left = min(ring, (height - 1) // 2), min(ring, (width - 1) // 2)
        bump[top : height - top, left : width - left] += 1.0 / (ring + 1) ** 2
    return bump


def _placed(pattern: Tensor, inside: Tensor, x: Tensor) -> Tensor:
    """Puts a pattern of a square's size into the square of each image (n, 1, height, width)."""
    placed = x.new_zeros(len(x), 1, *x.shape[2:])
    placed[inside] = pattern.flatten().repeat(len(x))
    return placed


def _channel_length(shift: Tensor) -> Tensor:
    """Returns the Euclidean length of each channel (n, channels, 1, 1), 1e-12 at least."""
    return shift.square().sum((2, 3), keepdim=True).sqrt().clamp(min=1e-12)
