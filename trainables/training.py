"""One epoch of (adversarial) training: the ordinary loop, and the free one."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim import Optimizer

from trainables.attacks import ROUNDING, Attack, perturb
from trainables.cost import Ledger, PassCost, StepCost
from trainables.errors import TemperError
from trainables.losses import SoftLoss, TrainingLoss
from trainables.regime import FGSM, Augmentation


@dataclass(frozen=True)
class EpochResult:
    """What an epoch of training came to.

    Attributes:
        loss: mean over the examples; NaN or infinite where training diverged.
        learning_rate: of the last step.
        accuracy: share of the perturbed training images that were right just before each update, 0–1.
    """

    loss: float
    learning_rate: float
    accuracy: float

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.loss)


@dataclass
class Trainer:
    """What an epoch works on: a model, its optimizer, and who is charged for it.

    Attributes:
        model: trained in place, left in train mode.
        optimizer: of the model's parameters.
        rate: of each step, from its number, counted from 0 over the whole schedule.
        after_step: called after each update.
        augmentation: of each batch, before it is perturbed.
        generator: order, augmentation and noise, on the device of the images.
        cost: FLOPs per pass of this very model.
        ledger: charged for the passes made.
        update_phase: where updates are charged: `update`, or `base` in ordinary pretraining.
    """

    model: nn.Module
    optimizer: Optimizer
    rate: Callable[[int], float]
    after_step: Callable[[], None]
    augmentation: Augmentation
    generator: Generator
    cost: PassCost
    ledger: Ledger
    update_phase: str = "update"

    def batches(self, x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Every example once, in a fresh order: images (batch, channels, height, width), labels, and which they are.

        Images are augmented, and in channels-last memory.
        """
        for index in torch.split(torch.randperm(len(x), generator=self.generator, device=x.device), size):
            images = augment(x[index], self.augmentation, self.generator)
            yield images.contiguous(memory_format=torch.channels_last), y[index], index

    def update(self, step: int, loss: Tensor) -> tuple[float, bool]:
        """Back-propagate and, if the loss is finite, step. Returns the step's rate, and whether it was."""
        rate, finite = self.rate(step), bool(torch.isfinite(loss))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        if finite:
            self.optimizer.step()
            self.after_step()
        return rate, finite

    def charge(self, step: StepCost, examples: int) -> None:
        """Charge the ledger for a step on so many examples."""
        self.ledger.charge(step, examples, update_phase=self.update_phase)


def train_epoch(
    trainer: Trainer,
    x: Tensor,
    y: Tensor,
    loss: TrainingLoss,
    attack: Callable[[int], Attack],
    *,
    first_step: int,
    batch_size: int,
    soft: SoftLoss | None = None,
) -> EpochResult:
    """Perturb each batch and train on it once; stops at the first loss that is not finite.

    Args:
        trainer: what to train.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        loss: what to minimise; it also says what the attack works against.
        attack: of each step, from its number; run in eval mode without parameter gradients, under `perturb`.
        first_step: number of the epoch's first step.
        batch_size: images per step; the last batch may be smaller.
        soft: joins a teacher's soft labels of the images x to the loss.
    """
    trainer.model.train()
    tally = _Tally()
    for number, (images, labels, index) in enumerate(trainer.batches(x, y, batch_size), start=first_step):
        chosen = attack(number)
        target = loss.target(trainer.model, images, labels) if chosen.passes else labels
        adversarial = perturb(chosen, trainer.model, images, target, trainer.generator)
        value, logits = loss(trainer.model, images, adversarial, labels)
        if soft is not None:
            value = soft(value, logits, index)
        rate, finite = trainer.update(number, value)
        trainer.charge(trainer.cost.step(chosen, loss), len(labels))
        tally.add(value, logits, labels, rate)
        if not finite:
            break
    return tally.result()


def free_epoch(
    trainer: Trainer,
    x: Tensor,
    y: Tensor,
    perturbation: FGSM,
    *,
    first_step: int,
    batch_size: int,
    replays: int,
) -> EpochResult:
    """Free adversarial training (arXiv 1904.12843, algorithm 1): train on each batch `replays` times in a row.

    Each backward pass moves the weights and, by epsilon along the sign of its input gradient, the perturbation of the
    next one; the perturbation goes on from batch to batch and starts each epoch at 0. So it is found in train mode,
    with parameter gradients: that is the point of the method.

    Args:
        trainer: what to train.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        perturbation: its epsilon bounds the perturbation and is the step's length.
        first_step: number of the epoch's first step; a replay is a step.
        batch_size: images per step; the last batch may be smaller.
        replays: m in the paper.
    """
    trainer.model.train()
    tally, step = _Tally(), first_step
    carried = torch.zeros_like(x[:batch_size])
    for images, labels, _ in trainer.batches(x, y, batch_size):
        shift = carried[: len(images)]
        for _ in range(replays):
            adversarial = (images + shift).clamp(0, 1).requires_grad_(True)
            if float((adversarial - images).abs().amax().detach()) > perturbation.epsilon + ROUNDING:
                raise TemperError(f"free training left its bound of {perturbation.epsilon:.4g}")
            logits = trainer.model(adversarial)
            value = cross_entropy(logits, labels)
            rate, finite = trainer.update(step, value)
            gradient = adversarial.grad
            assert gradient is not None
            shift = (shift + perturbation.epsilon * gradient.sign()).clamp(-perturbation.epsilon, perturbation.epsilon)
            trainer.charge(trainer.cost.free_step(), len(labels))
            step += 1
            tally.add(value, logits, labels, rate)
            if not finite:
                return tally.result()
        carried = torch.cat([shift, carried[len(shift) :]])
    return tally.result()


def augment(images: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Move and mirror images (batch, channels, height, width), each by its own draw."""
    count, _, height, width = images.shape
    if augmentation.crop_padding:
        reach = augmentation.crop_padding
        padded = pad(images, (reach,) * 4)
        down, right = torch.randint(0, 2 * reach + 1, (2, count, 1), generator=generator, device=images.device)
        rows = (down + torch.arange(height, device=images.device))[:, None, :, None]
        columns = (right + torch.arange(width, device=images.device))[:, None, None, :]
        batch = torch.arange(count, device=images.device)[:, None, None, None]
        channels = torch.arange(images.shape[1], device=images.device)[None, :, None, None]
        images = padded[batch, channels, rows, columns]
    if augmentation.flip:
        mirrored = torch.rand(count, generator=generator, device=images.device) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return images


class _Tally:
    """Sums up an epoch, on the device until it is asked."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []
        self._examples = 0
        self._rate = 0.0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor, rate: float) -> None:
        """Note one step."""
        self._rate = rate
        self._examples += len(labels)
        self._losses.append(loss.detach() * len(labels))
        self._right.append((logits.detach().argmax(1) == labels).sum())

    def result(self) -> EpochResult:
        """Means over the examples."""
        loss = float(torch.stack(self._losses).sum()) / self._examples
        return EpochResult(loss, self._rate, int(torch.stack(self._right).sum()) / self._examples)
