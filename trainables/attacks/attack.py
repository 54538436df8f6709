"""Perturbations of the input: what training adds, and what evaluation attacks with.

Each is a frozen dataclass called as `attack(model, x, target, generator) -> x_adv` on images in [0, 1]. It declares how
many input-gradient passes it makes per example and how far from x it may end; `perturb` runs it under the right
conditions.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.config import Norm
from trainables.errors import TemperError
from trainables.models.build import frozen

ROUNDING = 1e-6  # float32 slack of a pixel when a bound is checked
ROUNDING_OF_LENGTH = 1e-5  # … and of a Euclidean length, relative to it


class Attack(Protocol):
    """Moves images (batch, channels, height, width) in [0, 1] away from their target.

    The target is what the attack makes unlikely: labels (batch,), or probabilities (batch, classes), with which raising
    the cross-entropy is raising the KL divergence from them.
    """

    @property
    def passes(self) -> int:
        """Input-gradient passes per example."""

    @property
    def norm(self) -> Norm:
        """What the bound is measured in."""

    @property
    def bound(self) -> float:
        """Largest distance of x_adv from x that it may return."""

    @property
    def sound(self) -> bool:
        """Stays in [0, 1], in eval mode and without parameter gradients; all but the published study's do."""

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor: ...


def perturb(attack: Attack, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
    """Run an attack in eval mode without parameter gradients, and check what it promised.

    One that is not sound runs in the mode that the model is in, and may leave [0, 1].

    Raises:
        TemperError: the result leaves [0, 1] or the attack's declared bound, or is not finite; it is no images of the
            shape of x; or the attack made more passes than it declares, by which its compute is charged.
    """
    with frozen(model) if attack.sound else nullcontext(), _counted(model) as calls:
        adversarial = attack(model, x, target, generator)
    if len(calls) > attack.passes:
        raise TemperError(f"{attack}: made {len(calls)} passes, declared {attack.passes}, by which it is charged")
    if not isinstance(adversarial, Tensor) or adversarial.shape != x.shape:
        got = tuple(adversarial.shape) if isinstance(adversarial, Tensor) else type(adversarial).__name__
        raise TemperError(f"{attack}: gave {got}, expected images of shape {tuple(x.shape)}")
    adversarial = adversarial.detach()
    shift = adversarial - x
    distances = shift.abs() if attack.norm == "linf" else euclidean_length(shift)
    distance = distances.amax() if len(x) else torch.tensor(0.0)
    allowed = attack.bound * (1 + (ROUNDING_OF_LENGTH if attack.norm == "l2" else 0)) + ROUNDING
    inside = distance <= allowed
    if attack.sound:
        inside = inside & (adversarial >= 0).all() & (adversarial <= 1).all()
    if not bool(inside):  # NaN compares false, so it lands here too
        raise TemperError(f"{attack}: left its bound: |x_adv - x| = {float(distance):.4g}, allowed {attack.bound:.4g}")
    return adversarial


@contextmanager
def _counted(model: nn.Module) -> Iterator[list[None]]:
    """A list that grows by one with each call of the model."""
    calls: list[None] = []
    handle = model.register_forward_pre_hook(lambda *_: calls.append(None))
    try:
        yield calls
    finally:
        handle.remove()


def input_gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the summed cross-entropy by the images; the sum keeps one example's gradient free of the batch."""
    leaf = x.detach().requires_grad_(True)
    loss = cross_entropy(model(leaf), target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


def uniform_noise(x: Tensor, radius: float, generator: Generator) -> Tensor:
    """Noise of the shape of x, uniform in [-radius, radius]."""
    return torch.empty_like(x).uniform_(-radius, radius, generator=generator)


def euclidean_length(x: Tensor) -> Tensor:
    """Euclidean length of each image (batch, 1, 1, 1), kept off 0."""
    return x.square().sum(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
