"""Repeats the attack of the study that Temper grew from (arXiv 2403.09441), with that study's mistakes.

It serves to repeat the study, and nothing else should train or be scored with it. The docstring of the class lists in
what it differs from `PgdAttack`.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.config import Norm, PublishedPGD


@dataclass(frozen=True, kw_only=True)
class AdverFineAttack:
    """PGD as the code of arXiv 2403.09441 runs it.

    It starts from the image itself, without noise. A step is 2 epsilon / steps long. The perturbation is bounded, but
    the perturbed image may leave [0, 1]. It runs in the mode that the model is in, so that in training it changes
    BatchNorm's statistics, and it computes parameter gradients that are not used (3k+3 forwards where 2k+3 would do).
    The published epsilon of 0.1 was applied to pixels in [-1, 1], so it is 0.05 here; its 20 steps of 0.01 are steps of
    0.005.
    """

    epsilon: float
    steps: int
    norm: Norm = "linf"
    sound: bool = False

    @classmethod
    def of(cls, config: PublishedPGD, share: float) -> Self:
        """Makes the attack that a recipe describes, at a share (0–1] of its epsilon."""
        return cls(epsilon=share * config.epsilon, steps=config.steps)

    @property
    def passes(self) -> int:
        return self.steps

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        shift = torch.zeros_like(x)
        for _ in range(self.steps):
            shift.requires_grad_(True)
            loss = cross_entropy(model(x + shift), target)
            gradient = torch.autograd.grad(loss, [shift, *parameters], allow_unused=True)[0]
            step = 2 * self.epsilon / self.steps * gradient.sign()
            shift = (shift.detach() + step).clamp(-self.epsilon, self.epsilon)
        return x + shift
