"""Trains a network for one epoch, with or without an attack, in the ordinary loop or the free one."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, pad
from torch.optim import Optimizer

from trainables.attacks.attack import ROUNDING, Attack, perturb
from trainables.attacks.config import FGSM
from trainables.compute.flops import PassCost, StepCost
from trainables.compute.ledger import Ledger
from trainables.errors import TemperError
from trainables.losses.distillation import SoftLoss
from trainables.losses.losses import TrainingLoss
from trainables.recipe.schedule import Augmentation
from trainables.training.batches import batch_sizes, part_slices


@dataclass(frozen=True)
class EpochResult:
    """The result of an epoch of training.

    Attributes:
        loss: mean loss over the examples; NaN or infinite where training diverged.
        learning_rate: learning rate of the last step.
        accuracy: share of the perturbed training images that were labelled correctly just before their update, 0–1.
    """

    loss: float
    learning_rate: float
    accuracy: float

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.loss)


@dataclass
class Trainer:
    """Trains a model batch by batch: draws batches, makes updates, and charges them to a ledger.

    Attributes:
        model: the model, which is trained in place and left in train mode.
        optimizer: optimizer of the model's parameters.
        rate: returns the learning rate of a step from its number, counted from 0 over the whole schedule.
        after_step: is called after each update.
        augmentation: random changes to each batch before it is perturbed.
        generator: draws order, augmentation and noise, on the device of the images.
        cost: FLOPs per pass of this model.
        ledger: the ledger to which the passes are charged.
        update_phase: phase of the ledger for updates: `update`, or `base` in ordinary pretraining.
        micro_batches: number of parts that a batch is split into where memory is short; their gradients add up to that
            of the batch. BatchNorm then normalizes each part by itself, and each part draws its own noise.
        most: batches after which the epoch ends; None: all.
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
    micro_batches: int = 1
    most: int | None = None

    def batches(self, x: Tensor, y: Tensor, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Yields every example once, in a newly drawn order, in batches, until the epoch ends.

        Args:
            x: images (n, channels, height, width).
            y: labels (n,).
            size: examples per batch; for the last one see `batch_sizes`.

        Yields:
            Augmented images (batch, channels, height, width) in channels-last memory, labels (batch,), and the
            positions of the examples in x (batch,).
        """
        order = torch.randperm(len(x), generator=self.generator, device=x.device)
        for index in torch.split(order, batch_sizes(len(x), size))[: self.most]:
            images = augment(x[index], self.augmentation, self.generator)
            yield images.contiguous(memory_format=torch.channels_last), y[index], index

    def parts(self, examples: int, batch_size: int) -> list[slice]:
        """Returns the parts that a batch of so many examples is split into; a whole batch has `batch_size`."""
        return part_slices(examples, self.micro_batches, batch_size)

    def update(self, step: int, losses: Iterable[tuple[Tensor, float]]) -> tuple[float, bool]:
        """Computes the gradient of a batch and, if its losses are finite, updates the weights.

        Args:
            step: number of the step.
            losses: mean loss of each part of the batch, and the part's share of the batch; each loss is back-propagated
                before the next is asked for.

        Returns:
            The step's learning rate, and whether all losses were finite.
        """
        rate, finite = self.rate(step), True
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        for loss, share in losses:
            finite = finite and bool(torch.isfinite(loss))
            torch.autograd.backward(loss if share == 1 else share * loss)
        if finite:
            self.optimizer.step()
            self.after_step()
        return rate, finite

    def charge(self, step: StepCost, examples: int) -> None:
        """Charges a step on so many examples to the ledger."""
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
    """Trains an epoch in the ordinary loop: perturbs each batch and trains on it once.

    It stops at the first loss that is not finite.

    Args:
        trainer: the model and its optimizer.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        loss: the loss to minimise; it also gives the target of the attack.
        attack: returns the attack of a step from its number; `perturb` runs it.
        first_step: number of the epoch's first step.
        batch_size: images per step; for the last batch see `batch_sizes`.
        soft: adds a teacher's soft labels for the images x to the loss; None: there is no teacher.
    """
    trainer.model.train()
    tally = _Tally()

    def losses(number: int, batch: tuple[Tensor, Tensor, Tensor]) -> Iterator[tuple[Tensor, float]]:
        chosen, examples = attack(number), len(batch[1])
        for part in trainer.parts(examples, batch_size):
            images, labels, index = (one[part] for one in batch)
            target = loss.target(trainer.model, images, labels)
            adversarial = perturb(chosen, trainer.model, images, target, trainer.generator)
            value, logits = loss(trainer.model, images, adversarial, labels)
            if soft is not None:
                value = soft(value, logits, index)
            yield value, len(labels) / examples
            trainer.charge(trainer.cost.in_batches_of(len(labels)).step(chosen, loss), len(labels))
            tally.add(value, logits, labels)

    for number, batch in enumerate(trainer.batches(x, y, batch_size), start=first_step):
        tally.rate, finite = trainer.update(number, losses(number, batch))
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
    """Trains an epoch by free adversarial training (arXiv 1904.12843, algorithm 1): a batch `replays` times in a row.

    Each backward pass updates the weights and, by epsilon along the sign of the input gradient, the perturbation for
    the next pass. The perturbation is carried from batch to batch, and starts each epoch at 0. It is therefore found in
    train mode and with parameter gradients, which is the point of the method: it needs no passes of its own.

    Args:
        trainer: the model and its optimizer.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        perturbation: its epsilon bounds the perturbation and is the length of its steps.
        first_step: number of the epoch's first step; a replay is a step.
        batch_size: images per step; for the last batch see `batch_sizes`.
        replays: number of times that each batch is trained on, m in the paper.
    """
    trainer.model.train()
    tally, step = _Tally(), first_step

    def losses(images: Tensor, labels: Tensor, shift: Tensor) -> Iterator[tuple[Tensor, float]]:
        """Yields the loss of each part of a batch, and updates the part's perturbation after its backward pass."""
        for part in trainer.parts(len(labels), batch_size):
            adversarial = (images[part] + shift[part]).clamp(0, 1).requires_grad_(True)
            if float((adversarial - images[part]).abs().amax().detach()) > perturbation.epsilon + ROUNDING:
                raise TemperError(f"free training left its bound of {perturbation.epsilon:.4g}")
            logits = trainer.model(adversarial)
            value = cross_entropy(logits, labels[part])
            yield value, len(logits) / len(labels)
            gradient = adversarial.grad
            assert gradient is not None
            moved = shift[part] + perturbation.epsilon * gradient.sign()
            shift[part] = moved.clamp(-perturbation.epsilon, perturbation.epsilon)
            trainer.charge(trainer.cost.in_batches_of(len(logits)).free_step(), len(logits))
            tally.add(value, logits, labels[part])

    carried = torch.zeros_like(x[: max(batch_sizes(len(x), batch_size))])
    for images, labels, _ in trainer.batches(x, y, batch_size):
        for _ in range(replays):
            tally.rate, finite = trainer.update(step, losses(images, labels, carried[: len(images)]))
            step += 1
            if not finite:
                return tally.result()
    return tally.result()


def augment(images: Tensor, augmentation: Augmentation, generator: Generator) -> Tensor:
    """Moves and mirrors images (batch, channels, height, width) at random, each by its own draw."""
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
    """Adds up the losses and the correct labels of an epoch, on the device until the result is asked for.

    Attributes:
        rate: learning rate of the last step.
    """

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._right: list[Tensor] = []
        self._examples = 0
        self.rate = 0.0

    def add(self, loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Adds one step, or one part of a step."""
        self._examples += len(labels)
        self._losses.append(loss.detach() * len(labels))
        self._right.append((logits.detach().argmax(1) == labels).sum())

    def result(self) -> EpochResult:
        """Returns the means over the examples."""
        loss = float(torch.stack(self._losses).sum()) / self._examples
        return EpochResult(loss, self.rate, int(torch.stack(self._right).sum()) / self._examples)
