"""The worked example of an attack of one's own in docs/your-own.md, word for word from the first import on."""
# mypy: ignore-errors
# A user's file has no types.

from dataclasses import dataclass

import torch

from trainables.attacks.attack import input_gradient


@dataclass(frozen=True)
class MomentumAttack:
    """MI-FGSM (arXiv 1710.06081): steps along the sign of a running sum of gradients."""

    bound: float  # how far it may move an image, measured …
    norm: str  # … in this norm
    passes: int  # calls of the model for each image, which its compute is charged by
    sound: bool = True  # it wants the model in eval mode without parameter gradients, and stays in [0, 1]

    def __call__(self, model, x, target, generator):
        moved, momentum = x, torch.zeros_like(x)
        for _ in range(self.passes):
            gradient = input_gradient(model, moved, target)
            momentum = momentum + gradient / gradient.abs().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
            moved = (moved + self.bound / self.passes * momentum.sign()).clamp(0, 1)
        return moved


def attack(epsilon, norm, steps=3):
    """The attack of one batch, at the radius that the study's `epsilon` (and `warm_up`) says."""
    return MomentumAttack(bound=epsilon, norm=norm, passes=steps)
