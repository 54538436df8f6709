"""Measures, beside the ensemble, what a sound network must show; what the checks look at."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.assessment.arguments import WITHIN
from trainables.attacks.attack import input_gradient
from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball
from trainables.attacks.scoring_attack import ScoringAttack
from trainables.ensemble.ensemble import Turn, run_turns
from trainables.evaluation.config import ThreatModel
from trainables.evaluation.probabilities import looks_like_probabilities
from trainables.models.build import frozen

Bits = NDArray[np.bool_]
IMAGES = 500  # that are looked at, the first ones
WIDER, STEPS = 2.0, 20  # times epsilon, and the steps of the attack there
PARTS = 8  # of a single step, between which it is looked at
FAR = 0.5  # L-infinity radius within which every image can be made grey, so that all look alike
COMPARED = 8  # images that are scored once more, each beside others
SAME = 1e-3  # share of the largest score by which two answers to the same image may differ, for rounding


@dataclass(frozen=True)
class Answers:
    """What was found of the scores alone, without an attack.

    Attributes:
        unsteady: number of images whose scores differ from one call to the next.
        compared: number of images that were scored beside other images, too.
        mixed: number of those whose scores were others there.
        not_finite: number of images with a score that is not finite.
    """

    unsteady: int
    compared: int
    mixed: int
    not_finite: int


@dataclass(frozen=True, eq=False)
class Probes:
    """What was measured on some of the images.

    Attributes:
        clean: (n,) whether an image is labelled right.
        single_step: (n,) whether it still is after one step of epsilon along the gradient's sign (FGSM), all attacked.
        distorted: (n,) whether it is so before and after that step, and wrong on the way (arXiv 2010.01799), or the
            step did not move it.
        wider: (n,) whether it stands at twice the epsilon, under PGD on two losses.
        far: (n,) whether it stands at a radius within which all images can be made alike.
        largest_class: share of the images that are of the largest class.
        answers: what was found of the scores alone.
        moved_buffers: names of buffers that the evaluation has changed.
        probabilities: whether the outputs look like probabilities, where scores are wanted.
    """

    clean: Bits
    single_step: Bits
    distorted: Bits
    wider: Bits
    far: Bits
    largest_class: float
    answers: Answers
    moved_buffers: tuple[str, ...]
    probabilities: bool


def probe(
    model: nn.Module, images: Tensor, labels: Tensor, threat_model: ThreatModel, *, batch_size: int, seed: int
) -> Probes:
    """Measures what the checks look at, on the first `IMAGES` images.

    Args:
        model: any classifier of images in [0, 1]; its mode is left as it was.
        images: (n, channels, height, width) in [0, 1].
        labels: their labels (n,).
        threat_model: norm and epsilon.
        batch_size: images per pass.
        seed: of all that is drawn.
    """
    images, labels = images[:IMAGES], labels[:IMAGES]
    before = [buffer.clone() for buffer in model.buffers()]
    norm, epsilon = threat_model.norm, threat_model.epsilon
    with frozen(model):
        first = _scores(model, images, batch_size)
        stepped = [
            _single_step(model, x, y, epsilon, norm)
            for x, y in zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
        ]
    turn = (Turn("PGD", ScoringAttack, {"steps": STEPS}),)
    stands = [
        run_turns(
            model, images, labels, ThreatModel(norm=norm, epsilon=radius), turn, batch_size=batch_size, seed=seed
        ).stands
        for radius in (_within(WIDER * epsilon, norm), _far(images, norm))
    ]
    return Probes(
        clean=_bits(first.argmax(1) == labels),
        single_step=_bits(torch.cat([right for right, _ in stepped])),
        distorted=_bits(torch.cat([hidden for _, hidden in stepped])),
        wider=stands[0],
        far=stands[1],
        largest_class=float(torch.bincount(labels).max()) / len(labels),
        answers=answers(model, images, batch_size=batch_size),
        moved_buffers=tuple(
            name.removeprefix(WITHIN)
            for (name, buffer), kept in zip(model.named_buffers(), before, strict=True)
            if not _equal(kept, buffer)
        ),
        probabilities=looks_like_probabilities(first),
    )


def answers(model: nn.Module, images: Tensor, *, batch_size: int) -> Answers:
    """Measures on the first `IMAGES` images whether scores are finite, the same again, and the same beside others."""
    images = images[:IMAGES]
    batch = images[:batch_size]
    compared = np.unique(np.linspace(0, len(batch) - 1, COMPARED, dtype=np.int64)).tolist() if len(batch) > 1 else []
    with frozen(model):
        first, second = (_scores(model, images, batch_size) for _ in range(2))
        # An image keeps its place in a batch of the same size, so that a sound network computes it in the same way.
        beside = [_scores(model, _others(batch, place), batch_size)[place] for place in compared]
    mixed = _apart(first[compared], torch.stack(beside)) if compared else 0
    return Answers(_apart(first, second), len(compared), mixed, int((~first.isfinite()).any(1).sum()))


def _others(batch: Tensor, place: int) -> Tensor:
    """Returns a batch in which one image is left, and all others are their negatives."""
    others = 1 - batch
    others[place] = batch[place]
    return others


def _apart(first: Tensor, second: Tensor) -> int:
    """Returns for how many images two answers differ; numbers that are not finite are the same as themselves."""
    limit = SAME * first.nan_to_num(posinf=0.0, neginf=0.0).abs().amax().clamp(min=1e-12)
    same = ((first - second).abs() <= limit) | (first == second) | (first.isnan() & second.isnan())
    return int((~same).any(1).sum())


def _single_step(model: nn.Module, x: Tensor, labels: Tensor, epsilon: float, norm: Norm) -> tuple[Tensor, Tensor]:
    """Returns whether images are labelled right after one step from the image itself, and whether it hides something.

    Mistakes are attacked too. It hides something where an image is right before and after it, and wrong on the way, or
    where it moves nothing.
    """
    with torch.enable_grad():
        gradient = input_gradient(model, x, labels)
    moved = Ball(x=x, epsilon=epsilon, norm=norm).step(x, epsilon, gradient)

    def right(images: Tensor) -> Tensor:
        with torch.no_grad():
            found: Tensor = model(images).argmax(1) == labels
        return found

    after = right(moved)
    on_the_way = torch.stack([right(x + (moved - x) * part / PARTS) for part in range(1, PARTS)]).all(0)
    unmoved = (moved == x).flatten(1).all(1)
    return after, right(x) & after & (~on_the_way | unmoved)


def _scores(model: nn.Module, images: Tensor, batch_size: int) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(batch).float() for batch in torch.split(images, batch_size)])


def _within(epsilon: float, norm: Norm) -> float:
    """Returns a radius that a threat model may have: above 0.5 in L-infinity, it may not."""
    return min(epsilon, FAR) if norm == "linf" else epsilon


def _far(images: Tensor, norm: Norm) -> float:
    """Returns a radius within which every image can be made grey."""
    return FAR if norm == "linf" else float(FAR * images[0].numel() ** 0.5)


def _bits(values: Tensor) -> Bits:
    return np.asarray(values.cpu().numpy(), dtype=np.bool_)


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and bool(torch.equal(one, other.to(one.device)))
