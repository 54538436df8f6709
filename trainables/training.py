"""One epoch of (adversarial) training."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import SGD

from trainables.attacks import Attack, perturb
from trainables.cost import Ledger, PassCost
from trainables.recipe import Schedule

WARM_UP = 0.3  # share of the steps in which the rate rises
START_DIVISOR, END_DIVISOR = 25.0, 1e4  # first rate = peak / 25, last rate = first / 1e4, as torch's OneCycleLR


@dataclass(frozen=True)
class EpochResult:
    """Mean training loss (NaN or infinite where training diverged) and the rate of the last step."""

    loss: float
    learning_rate: float

    @property
    def diverged(self) -> bool:
        return not math.isfinite(self.loss)


def optimizer_of(model: nn.Module, schedule: Schedule) -> SGD:
    """SGD with Nesterov momentum; the rate is set before each step by `one_cycle`."""
    return SGD(
        model.parameters(),
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.momentum > 0,
    )


def one_cycle(step: int, total: int, peak: float) -> float:
    """The one-cycle rate (arXiv 1708.07120) of step 0 … total - 1, by cosine up and down.

    A pure function of the step, unlike torch's OneCycleLR which it equals, so that a restart needs no scheduler state.
    """
    start, end = peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR
    top = WARM_UP * total - 1
    if step <= top:
        return _cosine(start, peak, step / top)
    return _cosine(peak, end, (step - top) / (total - 1 - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def train_epoch(
    model: nn.Module,
    optimizer: SGD,
    x: Tensor,
    y: Tensor,
    attack: Attack,
    *,
    schedule: Schedule,
    epoch: int,
    generator: Generator,
    cost: PassCost,
    ledger: Ledger,
    update_phase: str = "update",
) -> EpochResult:
    """Train on every image once, in an order drawn from the generator; stops at the first loss that is not finite.

    Args:
        model: trained in place, left in train mode.
        optimizer: of the model's parameters.
        x: images (n, channels, height, width) in [0, 1].
        y: labels (n,).
        attack: found in eval mode without parameter gradients, under `perturb`.
        schedule: epochs, batch size and peak rate.
        epoch: counted from 0.
        generator: order and noise, on the device of x.
        cost: FLOPs per pass of this very model.
        ledger: charged for the passes made.
        update_phase: where the updates are charged: `update`, or `base` in ordinary pretraining.
    """
    model.train()
    batches = torch.split(torch.randperm(len(x), generator=generator, device=x.device), schedule.batch_size)
    first, total = epoch * len(batches), schedule.epochs * len(batches)
    losses: list[Tensor] = []
    rate = 0.0
    for number, batch in enumerate(batches):
        rate = one_cycle(first + number, total, schedule.learning_rate)
        for group in optimizer.param_groups:
            group["lr"] = rate
        images, labels = x[batch].contiguous(memory_format=torch.channels_last), y[batch]
        adversarial = perturb(attack, model, images, labels, generator)
        loss = cross_entropy(model(adversarial), labels)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        ledger.add("attack", cost.input_gradient * attack.passes, len(labels))
        ledger.add(update_phase, cost.full, len(labels))
        losses.append(loss.detach() * len(labels))
        if not bool(torch.isfinite(loss)):
            return EpochResult(float(loss.detach()), rate)
        optimizer.step()
    return EpochResult(float(torch.stack(losses).sum()) / len(x), rate)
