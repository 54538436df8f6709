"""Implements the losses that training minimises; each also says how many passes through the network it takes."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax, softmax

from trainables.losses.config import CrossEntropy, Loss, Mixed, Trades
from trainables.models.build import frozen


class TrainingLoss(Protocol):
    """Loss of a batch of clean and perturbed images."""

    @property
    def full_passes(self) -> int:
        """Number of forward and backward passes per example that one call takes."""

    @property
    def target_passes(self) -> int:
        """Number of forward passes per example that `target` takes."""

    def target(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        """Returns what the attack shall make unlikely: labels (batch,) or probabilities (batch, classes).

        Args:
            model: the model in training.
            x: clean images (batch, channels, height, width).
            y: labels (batch,).
        """

    def __call__(self, model: nn.Module, x: Tensor, adversarial: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the mean loss, a scalar with a gradient, and the logits of the perturbed images (batch, classes).

        Args:
            model: the model in training.
            x: clean images (batch, channels, height, width).
            adversarial: the same images, perturbed.
            y: labels (batch,).
        """


@dataclass(frozen=True, kw_only=True)
class CrossEntropyLoss:
    """Loss that is the cross-entropy of the perturbed images, with smoothed labels if asked for."""

    label_smoothing: float = 0.0
    full_passes: int = 1
    target_passes: int = 0

    def target(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return y

    def __call__(self, model: nn.Module, x: Tensor, adversarial: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        logits = model(adversarial)
        return cross_entropy(logits, y, label_smoothing=self.label_smoothing), logits


@dataclass(frozen=True, kw_only=True)
class MixedLoss:
    """Loss that is a weighted mean of the clean and perturbed images' cross-entropies (arXiv 1412.6572, eq. 3.1)."""

    clean_weight: float
    full_passes: int = 2
    target_passes: int = 0

    def target(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        return y

    def __call__(self, model: nn.Module, x: Tensor, adversarial: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        clean, logits = model(x), model(adversarial)
        share = self.clean_weight
        return share * cross_entropy(clean, y) + (1 - share) * cross_entropy(logits, y), logits


@dataclass(frozen=True, kw_only=True)
class TradesLoss:
    """TRADES loss (arXiv 1901.08573, eq. 5): CE(clean, y) + beta × KL(clean ‖ perturbed); attacks raise the KL."""

    beta: float
    full_passes: int = 2
    target_passes: int = 1

    def target(self, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
        with frozen(model), torch.no_grad():
            return softmax(model(x), dim=1)

    def __call__(self, model: nn.Module, x: Tensor, adversarial: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        clean, logits = model(x), model(adversarial)
        divergence = kl_div(log_softmax(logits, 1), log_softmax(clean, 1), reduction="batchmean", log_target=True)
        return cross_entropy(clean, y) + self.beta * divergence, logits


def loss_of(loss: Loss) -> TrainingLoss:
    """Makes the loss that a recipe describes."""
    match loss:
        case CrossEntropy():
            return CrossEntropyLoss(label_smoothing=loss.label_smoothing)
        case Mixed():
            return MixedLoss(clean_weight=loss.clean_weight)
        case Trades():
            return TradesLoss(beta=loss.beta)
