"""Defines the protocol of an attack, which training and evaluation perturb images with, and runs attacks safely.

An attack is a frozen dataclass that is called as `attack(model, x, target, generator) -> x_adv` on images in [0, 1]. It
declares how many input-gradient passes it makes per example, and how far from x the result may be; `perturb` runs it
and checks both, and can count the gradients that tell an attack nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Protocol

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.attacks.config import Norm
from trainables.attacks.gradients import GradientCounter
from trainables.errors import TemperError
from trainables.models.build import frozen

ROUNDING = 1e-6  # float32 rounding error of a pixel, allowed for where a bound is checked
LOST = 4  # roundings of 1 below which p - 1 has lost most of its digits
ROUNDING_OF_LENGTH = 1e-5  # the same for a Euclidean length, as a share of the length


class Attack(Protocol):
    """Attack that changes images (batch, channels, height, width) in [0, 1] so that a model gets their target wrong.

    The target is what the attack makes unlikely: labels (batch,), or probabilities (batch, classes). For probabilities,
    raising the cross-entropy is the same as raising the KL divergence from them.
    """

    @property
    def passes(self) -> int:
        """Number of input-gradient passes per example, by which the attack's compute is charged."""

    @property
    def norm(self) -> Norm:
        """The norm that the bound is measured in."""

    @property
    def bound(self) -> float:
        """The largest distance of x_adv from x that the attack may return."""

    @property
    def sound(self) -> bool:
        """Whether the result stays in [0, 1], and the attack runs in eval mode without parameter gradients.

        It does for all of Temper's attacks but the one that repeats arXiv 2403.09441.
        """

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor: ...


def perturb(
    attack: Attack,
    model: nn.Module,
    x: Tensor,
    target: Tensor,
    generator: Generator,
    counter: GradientCounter | None = None,
) -> Tensor:
    """Runs an attack in eval mode without parameter gradients, and checks that it keeps to what it declares.

    An attack that is not sound runs in the mode that the model is in, and its result may leave [0, 1].

    Args:
        attack: the attack to run.
        model: any classifier of images in [0, 1].
        x: images (batch, channels, height, width) in [0, 1].
        target: what the attack makes unlikely, labels (batch,) or probabilities (batch, classes).
        generator: draws the attack's noise, on the device of the images.
        counter: counts the attack's gradients that are zero or not finite; None: nobody asks, as in training.

    Raises:
        TemperError: the result leaves [0, 1] or the attack's declared bound, or is not finite; it is not a tensor of
            the shape of x; or the attack made more passes than it declares, by which its compute is charged.
    """
    with frozen(model) if attack.sound else nullcontext(), _counted(model, counter) as calls:
        adversarial = attack(model, x.clone(), target, generator)  # one that works in place leaves the images alone
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
    if not bool(inside):  # holds for NaN as well, which no comparison is true of
        raise TemperError(f"{attack}: left its bound: |x_adv - x| = {float(distance):.4g}, allowed {attack.bound:.4g}")
    return adversarial


@contextmanager
def _counted(model: nn.Module, counter: GradientCounter | None) -> Iterator[list[None]]:
    """Gives a list that grows by one element with each call of the model, whose input gradients go to the counter."""
    calls: list[None] = []

    def called(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        calls.append(None)
        if counter is None or not given:
            return
        counter.called(len(given[0]))
        if given[0].requires_grad:
            given[0].register_hook(counter.add)  # type: ignore[no-untyped-call]  # torch left it untyped

    handle = model.register_forward_pre_hook(called)
    try:
        yield calls
    finally:
        handle.remove()


def wrong(scores: Tensor, labels: Tensor) -> Tensor:
    """Returns whether the network is wrong on each image (n,); it is where a score is NaN."""
    return (scores.argmax(1) != labels) | scores.isnan().any(1)


def input_gradient(model: nn.Module, x: Tensor, target: Tensor) -> Tensor:
    """Returns the gradient of `cross_entropy_gradient` alone."""
    return cross_entropy_gradient(model, x, target)[0]


def cross_entropy_gradient(model: nn.Module, x: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the summed cross-entropy with respect to the images, and the scores (batch, classes).

    With a sum, unlike a mean, the gradient of one example does not depend on the size of the batch. NaN becomes 0, so
    that a pixel without a direction stays where it is, and an infinite number the largest one of its sign. Where the
    network is so sure of a label that the gradient would vanish, it has the same direction and another length.
    """
    leaf = x.detach().requires_grad_(True)
    logits = model(leaf)
    scores = logits.detach()
    if not target.is_floating_point() and logits.requires_grad:
        logits.register_hook(lambda gradient: _with_digits(gradient, scores, target))
    loss = cross_entropy(logits, target, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, leaf)
    return gradient.nan_to_num(), scores


def margin_gradient(model: nn.Module, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the gradient of the summed margin with respect to the images, and the scores (batch, classes).

    The margin is the largest score of another class minus the label's, above 0 where the network is wrong. Unlike the
    cross-entropy's, its gradient does not vanish where the network is sure. NaN and infinite numbers as there.
    """
    leaf = x.detach().requires_grad_(True)
    scores = model(leaf)
    places = labels[:, None]
    others = scores.scatter(1, places, -torch.inf).amax(1)
    (gradient,) = torch.autograd.grad((others - scores.gather(1, places)[:, 0]).sum(), leaf)
    return gradient.nan_to_num(), scores.detach()


def _with_digits(gradient: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    """Restores what rounding takes from the gradient of the cross-entropy with respect to the logits.

    The label's part is p - 1, where p is its probability, and rounds to 0 once the network is sure (in float32, from a
    lead of about 16 on). The attack would then still climb towards other classes, but no longer away from the label.
    The other parts shrink with p - 1, vanish on their way to the images, and are 0 from a lead of about 104 on.

    So the gradient of the log of the odds against the label is taken in such rows: the shares that the other classes
    have in what is left to them, and -1 for the label. Cross-entropy grows with these odds, so the direction is the
    same, and attacks use no more of a gradient than that. Rows that keep some digits are left as they are, bit by bit.

    Args:
        gradient: (batch, classes).
        logits: (batch, classes).
        labels: (batch,).
    """
    places = labels[:, None]
    lost = gradient.gather(1, places).abs() <= LOST * torch.finfo(gradient.dtype).eps
    shares = torch.softmax(logits.scatter(1, places, -torch.inf), 1)
    return torch.where(lost, shares.scatter(1, places, -1.0), gradient)


def uniform_noise(x: Tensor, radius: float, generator: Generator) -> Tensor:
    """Draws noise of the shape of x, uniform in [-radius, radius]."""
    return torch.empty_like(x).uniform_(-radius, radius, generator=generator)


def euclidean_length(x: Tensor) -> Tensor:
    """Returns the Euclidean length of each image (batch, 1, 1, 1), at least 1e-12 so that it can be divided by."""
    return x.square().sum(dim=(1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)


def unit(x: Tensor) -> Tensor:
    """Returns the direction of each image (batch, channels, height, width): the image divided by its Euclidean length.

    Each image is divided by its largest absolute value first, since the squares of small numbers vanish: a gradient
    shorter than 1e-19 would have no length in float32, and confident networks have such gradients. So every image has a
    direction but one that is zero in all of its pixels, which stays zero.
    """
    largest = x.abs().amax(dim=(1, 2, 3), keepdim=True)
    scaled = x / torch.where(largest > 0, largest, 1.0)
    return scaled / euclidean_length(scaled)
