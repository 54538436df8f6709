"""Measures the clean and the robust accuracy of a model, with the standard error that few examples leave."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from trainables.attacks.attack import Attack, perturb, wrong
from trainables.attacks.gradients import GradientCounter
from trainables.attacks.pgd import PgdAttack
from trainables.attacks.scoring_attack import ScoringAttack
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.evaluation.attacked_images import LARGEST, MOST, AttackedImages
from trainables.evaluation.config import ScoringProtocol
from trainables.models.build import frozen

ATTACK_SEED = 20_260_324  # fixed, so that a score is a function of the weights; of two networks that are right on the
# same images of a batch, attacks start alike, too


@dataclass(frozen=True)
class Score:
    """The result of an evaluation, per example.

    Attributes:
        clean: (n,) whether the clean image is labelled correctly.
        robust: (n,) whether it is so under attack as well.
        answers_one_class: whether every clean image got the same label.
        gradients: number of gradients that the attack followed, one for each image and pass.
        zero_gradients: number of those that are zero in every pixel, so that the attack could not move the image.
        nonfinite_gradients: number of those with a NaN or an infinite number.
        kept: the first images, with what the attack made of them; None where none were to be kept.
    """

    clean: NDArray[np.bool_]
    robust: NDArray[np.bool_]
    answers_one_class: bool = False
    gradients: int = 0
    zero_gradients: int = 0
    nonfinite_gradients: int = 0
    kept: AttackedImages | None = None

    @property
    def clean_accuracy(self) -> float:
        return float(self.clean.mean())

    @property
    def robust_accuracy(self) -> float:
        return float(self.robust.mean())

    @property
    def robust_standard_error(self) -> float:
        """Binomial standard error sqrt(p (1 - p) / n) of the robust accuracy, as a sample of n examples leaves it."""
        p = self.robust_accuracy
        return math.sqrt(p * (1 - p) / len(self.robust))

    @property
    def zero_gradient_share(self) -> float:
        """Share of the attack's gradients that are zero in every pixel, 0–1; 0 where nothing was attacked."""
        return self.zero_gradients / self.gradients if self.gradients else 0.0


def evaluate(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    batch_size: int,
    cost: PassCost,
    ledger: Ledger,
    keep: int = 0,
) -> Score:
    """Scores a model in eval mode on clean images, and under attack on those that it labels correctly.

    Args:
        model: any classifier of images in [0, 1]; its mode and buffers are left as they were.
        x: images (n, channels, height, width), n ≥ 1.
        y: labels (n,).
        attack: the attack, which `perturb` runs and keeps to its bound.
        batch_size: images per pass.
        cost: FLOPs per pass of this model.
        ledger: the ledger to which the passes are charged, under `validation`.
        keep: images of the first batch that are kept for people to look at.
    """
    generator, counter = torch.Generator(x.device).manual_seed(ATTACK_SEED), GradientCounter()
    clean, robust, answers, kept = [], [], [], None
    with frozen(model):
        for images, labels in zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True):
            with torch.no_grad():
                scores = model(images)
            answer, right = scores.argmax(1), ~wrong(scores, labels)
            attacked, attacked_answer, stands = images, answer, right
            if bool(right.any()):
                attacked, attacked_answer, stands = images.clone(), answer.clone(), right.clone()
                adversarial = perturb(attack, model, images[right], labels[right], generator, counter)
                attacked[right] = adversarial.to(attacked.dtype)
                with torch.no_grad():
                    scores = model(adversarial)
                attacked_answer[right], stands[right] = scores.argmax(1), ~wrong(scores, labels[right])
            seen, calls = len(images) + int(right.sum()), 1 + bool(right.any())
            ledger.add("validation", cost.in_batches_of(seen / calls).forward, seen)
            clean.append(right)
            robust.append(stands)
            answers.append(answer)
            if keep and kept is None:
                kept = _kept(images[:keep], attacked[:keep], labels[:keep], answer[:keep], attacked_answer[:keep])
    step = cost.in_batches_of(counter.passes / max(1, counter.calls)) if counter.passes else cost
    ledger.add("validation", step.attack_step(sound=attack.sound), counter.passes)
    answered = torch.cat(answers)
    return Score(
        torch.cat(clean).cpu().numpy(),
        torch.cat(robust).cpu().numpy(),
        answers_one_class=bool((answered == answered[0]).all()),
        gradients=counter.seen,
        zero_gradients=counter.zero,
        nonfinite_gradients=counter.not_finite,
        kept=kept,
    )


def _kept(
    images: Tensor, attacked: Tensor, labels: Tensor, answers: Tensor, attacked_answers: Tensor
) -> AttackedImages:
    """Returns what people may look at: 8 bits a pixel, and no side longer than `LARGEST`."""
    height, width = images.shape[-2:]
    scale = min(1.0, LARGEST / max(height, width))
    size = max(1, round(height * scale)), max(1, round(width * scale))

    def small(pixels: Tensor) -> NDArray[np.uint8]:
        fitted = pixels if scale == 1 else functional.adaptive_avg_pool2d(pixels, size)
        return (fitted.float() * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()

    def numbers(classes: Tensor) -> NDArray[np.int64]:
        return classes.cpu().numpy().astype(np.int64)

    return AttackedImages(small(images), small(attacked), numbers(labels), numbers(answers), numbers(attacked_answers))


@dataclass(frozen=True)
class Scorer:
    """Scores networks as a study asks for it: all on the same images, by the same attacks.

    Attributes:
        protocol: the threat model, and how hard and on how many images robustness is measured.
        images: validation images (n, channels, height, width), on the device to compute on.
        labels: labels of the images (n,).
    """

    protocol: ScoringProtocol
    images: Tensor
    labels: Tensor

    @property
    def progress_examples(self) -> int:
        """Number of images that the progress score is measured on."""
        return min(self.protocol.progress_examples, len(self.labels))

    @property
    def chance_accuracy(self) -> float:
        """Share of the images of the full score that are of the largest class: what naming it always would reach."""
        labels = self.labels[: self.protocol.examples]
        return float(torch.bincount(labels).max()) / len(labels)

    def progress(self, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """Measures the progress score: few steps on few images, after every epoch."""
        protocol = self.protocol
        return self._score(model, self._attack(protocol.progress_steps), protocol.progress_examples, cost, ledger)

    def full(self, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """Measures the full score, which becomes the recipe's result."""
        protocol = self.protocol
        return self._score(model, self._attack(protocol.steps), protocol.examples, cost, ledger, keep=MOST)

    def by(self, attack: Attack, model: nn.Module, cost: PassCost, ledger: Ledger) -> Score:
        """Measures the score under another attack, on the images of the full score."""
        return self._score(model, attack, self.protocol.examples, cost, ledger)

    def _attack(self, steps: int) -> Attack:
        protocol = self.protocol
        made = ScoringAttack if protocol.attack == "two_losses" else PgdAttack
        return made(norm=protocol.norm, epsilon=protocol.epsilon, steps=steps)

    def _score(
        self, model: nn.Module, attack: Attack, examples: int | None, cost: PassCost, ledger: Ledger, keep: int = 0
    ) -> Score:
        images, labels, size = self.images[:examples], self.labels[:examples], self.protocol.batch_size
        return evaluate(model, images, labels, attack, batch_size=size, cost=cost, ledger=ledger, keep=keep)
