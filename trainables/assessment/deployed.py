"""Attacks the file that a quantized network is deployed as, which has no gradients of its own.

A quantized network is attacked twice. With gradients, through the rounding (straight through, arXiv 1712.05877), on the
network that was trained: the surrogate. And as the file that is deployed, in which integers are integers, and whose
rounding a surrogate's gradients may not know: by the examples that broke the surrogate, by examples made for the same
network in floating point, and by Square, which needs no gradient. The lower of the two numbers is what counts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from trainables.ensemble.ensemble import (
    BLACK_BOX,
    STANDS,
    Attacked,
    Progress,
    TurnResult,
    broken_images,
    run_turns,
    transfer,
)
from trainables.evaluation.config import Strength, ThreatModel

REPLAY = "replay"
Bits = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class DeployedEvaluation:
    """How robust a deployed file is, image by image.

    Attributes:
        clean: (n,) whether the file labels an image right as it is.
        robust: (n,) whether it labels it right under every attack.
        turns: what each attack did; the first is the replay of what broke the surrogate.
    """

    clean: Bits
    robust: Bits
    turns: tuple[TurnResult, ...]

    @property
    def robust_accuracy(self) -> float:
        return float(self.robust.mean())


def evaluate_deployed(
    deployed: nn.Module,
    images: Tensor,
    labels: Tensor,
    threat_model: ThreatModel,
    *,
    adversarial: Tensor,
    parent: nn.Module | None,
    attack: Strength = "standard",
    seed: int = 0,
    batch_size: int = 256,
    progress: Callable[[Progress], None] = lambda _: None,
) -> DeployedEvaluation:
    """Measures the robust accuracy of a deployed file.

    Args:
        deployed: computes the file's scores (n, classes).
        images: (n, channels, height, width) in [0, 1], on the device that `deployed` takes them on.
        labels: their labels (n,).
        threat_model: norm, and epsilon for pixels in [0, 1].
        adversarial: (n, channels, height, width) the images as they broke the surrogate, the others as they are.
        parent: the same network in floating point; None: no examples of it are tried.
        attack: how hard Square tries.
        seed: of all that is drawn.
        batch_size: images per pass.
        progress: is told before each attack, and after each batch.
    """
    wrong = broken_images(deployed, images, labels, batch_size)
    replayed = broken_images(deployed, adversarial, labels, batch_size) & ~wrong
    left = ~(wrong | replayed)
    first = TurnResult(REPLAY, False, int((~wrong).sum()), int(replayed.sum()), 1, 0.0, 0, 0, 0)
    turns = (*(() if parent is None else (transfer(parent),)), *BLACK_BOX[attack])
    robust = left.cpu().numpy().copy()
    further: tuple[TurnResult, ...] = ()
    if bool(left.any()):
        found: Attacked = run_turns(
            deployed,
            images[left],
            labels[left],
            threat_model,
            turns,
            batch_size=batch_size,
            seed=seed,
            progress=progress,
        )
        robust[robust] = found.broken_by == STANDS
        further = found.turns
    return DeployedEvaluation((~wrong).cpu().numpy(), robust, (first, *further))
