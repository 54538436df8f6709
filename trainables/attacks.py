"""Perturbations of the input: what training adds, and what evaluation attacks with.

Each is a frozen dataclass called as `attack(model, x, target, generator) -> x_adv` on images in [0, 1]. It declares how
many input-gradient passes it makes per example and how far from x it may end; `perturb` runs it under the right
conditions.
"""

import dataclasses
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.errors import TemperError
from trainables.models import frozen
from trainables.published import PublishedPgdAttack
from trainables.regime import FGSM, NFGSM, PGD, NoPerturbation, Norm, Perturbation, PublishedPGD

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


@dataclass(frozen=True, kw_only=True)
class PgdAttack:
    """Projected gradient ascent from a uniform start in the ball (arXiv 1706.06083), in L-infinity or L2.

    An L2 step goes along the gradient divided by its length; both norms stay inside [0, 1].
    """

    epsilon: float
    steps: int
    norm: Norm = "linf"
    step_size: float | None = None
    sound: bool = True

    @property
    def passes(self) -> int:
        return self.steps

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        step_size = 2.5 * self.epsilon / self.steps if self.step_size is None else self.step_size
        if self.norm == "l2":
            return self._in_l2(model, x, target, generator, step_size)
        low, high = (x - self.epsilon).clamp(min=0), (x + self.epsilon).clamp(max=1)
        adversarial = (x + _uniform(x, self.epsilon, generator)).clamp(0, 1)
        for _ in range(self.steps):
            gradient = input_gradient(model, adversarial, target)
            adversarial = torch.clamp(adversarial + step_size * gradient.sign(), low, high)
        return adversarial

    def _in_l2(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator, step_size: float) -> Tensor:
        direction = torch.empty_like(x).normal_(generator=generator)
        share = torch.rand(len(x), 1, 1, 1, generator=generator, device=x.device) ** (1 / x[0].numel())
        adversarial = (x + self.epsilon * share * direction / _length(direction)).clamp(0, 1)
        for _ in range(self.steps):
            gradient = input_gradient(model, adversarial, target)
            shift = adversarial + step_size * gradient / _length(gradient) - x
            # Clamping moves every pixel towards x, so the result is inside the ball as well.
            adversarial = (x + shift * (self.epsilon / _length(shift)).clamp(max=1)).clamp(0, 1)
        return adversarial


@dataclass(frozen=True, kw_only=True)
class FgsmAttack:
    """Fast adversarial training's step (arXiv 2001.03994, algorithm 3): uniform start, one step, projected."""

    epsilon: float
    step_size: float | None = None
    passes: int = 1
    norm: Norm = "linf"
    sound: bool = True

    @property
    def bound(self) -> float:
        return self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        step_size = 1.25 * self.epsilon if self.step_size is None else self.step_size
        start = (x + _uniform(x, self.epsilon, generator)).clamp(0, 1)
        stepped = start + step_size * input_gradient(model, start, target).sign()
        return torch.clamp(stepped, (x - self.epsilon).clamp(min=0), (x + self.epsilon).clamp(max=1))


@dataclass(frozen=True, kw_only=True)
class NFgsmAttack:
    """N-FGSM (arXiv 2202.01181, algorithm 1): noise in ±2 epsilon, then one step of epsilon, no projection.

    Noise and result are clamped to [0, 1] as in the authors' code; the result may be 3 epsilon away.
    """

    epsilon: float
    passes: int = 1
    norm: Norm = "linf"
    sound: bool = True

    @property
    def bound(self) -> float:
        return 3 * self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        noisy = (x + _uniform(x, 2 * self.epsilon, generator)).clamp(0, 1)
        return (noisy + self.epsilon * input_gradient(model, noisy, target).sign()).clamp(0, 1)


@dataclass(frozen=True, kw_only=True)
class Unperturbed:
    """Ordinary training: x itself."""

    passes: int = 0
    norm: Norm = "linf"
    bound: float = 0.0
    sound: bool = True

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return x


def attack_of(perturbation: Perturbation, share: float = 1.0) -> Attack:
    """The attack that a recipe's perturbation describes, at a share (0–1] of its epsilon and step size."""
    match perturbation:
        case NoPerturbation():
            return Unperturbed()
        case FGSM():
            attack: FgsmAttack | PgdAttack = FgsmAttack(epsilon=perturbation.epsilon, step_size=perturbation.step_size)
        case NFGSM():
            return NFgsmAttack(epsilon=share * perturbation.epsilon)
        case PublishedPGD():
            return PublishedPgdAttack(epsilon=share * perturbation.epsilon, steps=perturbation.steps)
        case PGD():
            attack = PgdAttack(
                epsilon=perturbation.epsilon,
                steps=perturbation.steps,
                norm=perturbation.norm,
                step_size=perturbation.step_size,
            )
    step_size = None if attack.step_size is None else share * attack.step_size
    return dataclasses.replace(attack, epsilon=share * attack.epsilon, step_size=step_size)


def warmed(perturbation: Perturbation, step: int, total: int) -> Attack:
    """The attack of training step 0 … total - 1: its epsilon rises in a line over the warm-up's steps."""
    steps = 0.0 if isinstance(perturbation, NoPerturbation) else perturbation.warm_up * total
    return attack_of(perturbation, min(1.0, (step + 1) / steps) if steps else 1.0)


def perturb(attack: Attack, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
    """Run an attack in eval mode without parameter gradients, and check what it promised.

    One that is not sound runs in the mode that the model is in, and may leave [0, 1].

    Raises:
        TemperError: the result leaves [0, 1] or the attack's declared bound, or is not finite.
    """
    with frozen(model) if attack.sound else nullcontext():
        adversarial = attack(model, x, target, generator).detach()
    shift = adversarial - x
    distances = shift.abs() if attack.norm == "linf" else _length(shift)
    distance = distances.amax() if len(x) else torch.tensor(0.0)
    allowed = attack.bound * (1 + (ROUNDING_OF_LENGTH if attack.norm == "l2" else 0)) + ROUNDING
    inside = distance <= allowed
    if attack.sound:
        inside = inside & (adversarial >= 0).all() & (adversarial <= 1).all()
    if not bool(inside):  # NaN compares false, so it lands here too
        raise TemperError(f"{attack}: left its bound: |x_adv - x| = {float(distance):.4g}, allowed {attack.bound:.4g}")
    return adversarial


def input_gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Gradient of the summed cross-entropy by the images; the sum keeps one example's gradient free of the batch."""
    leaf = x.detach().requires_grad_(True)
    loss = cross_entropy(model(leaf), target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient


def _uniform(x: Tensor, radius: float, generator: Generator) -> Tensor:
    return torch.empty_like(x).uniform_(-radius, radius, generator=generator)


def _length(x: Tensor) -> Tensor:
    """Euclidean length of each image (batch, 1, 1, 1), kept off 0."""
    return x.square().sum(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
