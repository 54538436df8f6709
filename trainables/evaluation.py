"""Clean and robust accuracy of a model, with the error that the number of examples leaves."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.attacks import Attack, perturb
from trainables.cost import Ledger, PassCost

ATTACK_SEED = 20_260_324  # the same random starts for every recipe, so that scores can be compared in pairs


@dataclass(frozen=True)
class Score:
    """What an evaluation found, per example.

    Attributes:
        clean: (n,) whether the label of the clean image is right.
        robust: (n,) whether it stays right under attack.
    """

    clean: NDArray[np.bool_]
    robust: NDArray[np.bool_]

    @property
    def clean_accuracy(self) -> float:
        return float(self.clean.mean())

    @property
    def robust_accuracy(self) -> float:
        return float(self.robust.mean())

    @property
    def robust_standard_error(self) -> float:
        """Binomial standard error sqrt(p (1 - p) / n) of the robust accuracy, from the examples alone."""
        p = self.robust_accuracy
        return math.sqrt(p * (1 - p) / len(self.robust))


def evaluate(
    model: nn.Module, x: Tensor, y: Tensor, attack: Attack, *, batch_size: int, cost: PassCost, ledger: Ledger
) -> Score:
    """Score a model in eval mode; images that are wrong already are not attacked.

    Args:
        model: any classifier of images in [0, 1]; its mode and buffers are left as they were.
        x: images (n, channels, height, width), n ≥ 1.
        y: labels (n,).
        attack: run under `perturb`, which enforces its bound.
        batch_size: images per pass.
        cost: FLOPs per pass of this very model.
        ledger: charged for the passes made, under `validation`.
    """
    training = model.training
    model.eval()
    generator = torch.Generator(x.device).manual_seed(ATTACK_SEED)
    clean, robust = [], []
    try:
        for images, labels in zip(torch.split(x, batch_size), torch.split(y, batch_size), strict=True):
            with torch.no_grad():
                right = model(images).argmax(1) == labels
            survives = right.clone()
            if bool(right.any()):
                adversarial = perturb(attack, model, images[right], labels[right], generator)
                with torch.no_grad():
                    survives[right] = model(adversarial).argmax(1) == labels[right]
            attacked = int(right.sum())
            ledger.add("validation", cost.forward, len(images) + attacked)
            ledger.add("validation", cost.attack_step(sound=attack.sound) * attack.passes, attacked)
            clean.append(right)
            robust.append(survives)
    finally:
        model.train(training)
    return Score(torch.cat(clean).cpu().numpy(), torch.cat(robust).cpu().numpy())
