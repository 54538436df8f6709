"""Perturbations of the input: what training adds, and what evaluation attacks with.

Each is a frozen dataclass called as `attack(model, x, y, generator) -> x_adv` on images in [0, 1]. It declares how many
input-gradient passes it makes per example and how far from x it may end; `perturb` runs it under the right conditions.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.errors import TemperError
from trainables.recipe import NFGSM, PGD, NoPerturbation, Perturbation

ROUNDING = 1e-6  # float32 slack when a bound is checked, in pixel units


class Attack(Protocol):
    """Moves images (batch, channels, height, width) in [0, 1] to raise the loss of their labels (batch,)."""

    @property
    def passes(self) -> int:
        """Input-gradient passes per example."""

    @property
    def bound(self) -> float:
        """Largest |x_adv - x| of any pixel, in [0, 1] units."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class PgdAttack:
    """Projected gradient ascent on the L-infinity ball, from a uniform random start (arXiv 1706.06083)."""

    epsilon: float
    steps: int
    step_size: float | None = None

    @property
    def passes(self) -> int:
        return self.steps

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        step_size = 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size
        low, high = (x - self.epsilon).clamp(min=0), (x + self.epsilon).clamp(max=1)
        adversarial = (x + _uniform(x, self.epsilon, generator)).clamp(0, 1)
        for _ in range(self.steps):
            gradient = input_gradient(model, adversarial, y)
            adversarial = torch.clamp(adversarial + step_size * gradient.sign(), low, high)
        return adversarial


@dataclass(frozen=True, kw_only=True)
class NFgsmAttack:
    """N-FGSM (arXiv 2202.01181, algorithm 1): noise in ±2 epsilon, then one step of epsilon, no projection.

    Noise and result are clamped to [0, 1] as in the authors' code; the result may be 3 epsilon away.
    """

    epsilon: float

    @property
    def passes(self) -> int:
        return 1

    @property
    def bound(self) -> float:
        return 3 * self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        noisy = (x + _uniform(x, 2 * self.epsilon, generator)).clamp(0, 1)
        return (noisy + self.epsilon * input_gradient(model, noisy, y).sign()).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class Unperturbed:
    """Ordinary training: x itself."""

    passes: int = 0
    bound: float = 0.0

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        return x


def attack_of(perturbation: Perturbation) -> Attack:
    """The attack that a recipe's perturbation describes."""
    match perturbation:
        case NoPerturbation():
            return Unperturbed()
        case NFGSM():
            return NFgsmAttack(epsilon=perturbation.epsilon)
        case PGD():
            return PgdAttack(epsilon=perturbation.epsilon, steps=perturbation.steps, step_size=perturbation.step_size)


def perturb(attack: Attack, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor:
    """Run an attack in eval mode without parameter gradients, and check what it promised.

    Raises:
        TemperError: the result leaves [0, 1] or the attack's declared bound, or is not finite.
    """
    with _frozen(model):
        adversarial = attack(model, x, y, generator).detach()
    distance = (adversarial - x).abs().amax() if len(x) else torch.tensor(0.0)
    inside = (adversarial >= 0).all() & (adversarial <= 1).all() & (distance <= attack.bound + ROUNDING)
    if not bool(inside):  # NaN compares false, so it lands here too
        raise TemperError(f"{attack}: left its bound: |x_adv - x| = {float(distance):.4g}, allowed {attack.bound:.4g}")
    return adversarial


def input_gradient(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Gradient of the summed cross-entropy by the images; the sum keeps one example's gradient free of the batch."""
    leaf = x.detach().requires_grad_(True)
    loss = cross_entropy(model(leaf), y, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


def _uniform(x: Tensor, radius: float, generator: Generator) -> Tensor:
    return torch.empty_like(x).uniform_(-radius, radius, generator=generator)


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Eval mode (BatchNorm statistics stay) and no parameter gradients (2k+3 instead of 3k+3 forwards)."""
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
