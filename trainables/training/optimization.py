"""Makes optimizers, learning rates and averaged weights as a schedule asks for them."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from trainables.recipe.schedule import Schedule

WARM_UP = 0.3  # share of a one-cycle's steps in which the rate rises
START_DIVISOR, END_DIVISOR = 25.0, 1e4  # first rate = peak / 25, last rate = first / 1e4, as in PyTorch's OneCycleLR
ADAM_SECOND_BETA = 0.999


def optimizer_of(model: nn.Module, schedule: Schedule) -> Optimizer:
    """Makes the schedule's optimizer; its rate must be set before each step, to that of `learning_rate`."""
    if schedule.optimizer == "adamw":
        betas = (schedule.momentum, ADAM_SECOND_BETA)
        return AdamW(model.parameters(), schedule.learning_rate, betas, weight_decay=schedule.weight_decay)
    return SGD(
        model.parameters(),
        lr=schedule.learning_rate,
        momentum=schedule.momentum,
        weight_decay=schedule.weight_decay,
        nesterov=schedule.momentum > 0,
    )


def average_of(model: nn.Module, schedule: Schedule) -> AveragedModel | None:
    """Makes a copy of the model that averages its weights and buffers over the steps, with the schedule's decay.

    None where the schedule does not average. Whole numbers, such as the zero point of a rounded input, are the model's.
    """
    if schedule.averaging is None:
        return None
    return AveragedModel(model, multi_avg_fn=_averaging(schedule.averaging), use_buffers=True)


def _averaging(decay: float) -> Callable[[Sequence[Tensor], Sequence[Tensor], object], None]:
    """Returns what updates averages, all of one type of numbers. PyTorch's own cuts fractions of whole numbers off."""
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]  # torch left it untyped

    @torch.no_grad()
    def update(averages: Sequence[Tensor], values: Sequence[Tensor], steps: object) -> None:
        if averages[0].is_floating_point() or averages[0].is_complex():
            average(averages, values, steps)
            return
        for one, value in zip(averages, values, strict=True):
            one.copy_(value)

    return update


def learning_rate(schedule: Schedule, step: int, total: int) -> float:
    """Returns the learning rate of step 0 … total - 1.

    It is a function of the step alone, so that a restart needs no state of a scheduler.
    """
    peak = schedule.learning_rate
    match schedule.shape:
        case "one_cycle":
            return one_cycle(step, total, peak)
        case "cosine":
            return _cosine(peak, 0.0, step / total)
        case "step":
            return peak * (1.0 if step < total / 2 else 0.1 if step < total * 3 / 4 else 0.01)
        case "constant":
            return peak


def one_cycle(step: int, total: int, peak: float) -> float:
    """Returns the one-cycle rate (arXiv 1708.07120) of step 0 … total - 1, which equals that of PyTorch's OneCycleLR.

    It rises and falls along a cosine.
    """
    start, end = peak / START_DIVISOR, peak / START_DIVISOR / END_DIVISOR
    top = WARM_UP * total - 1
    if step <= top:
        return _cosine(start, peak, step / top)
    return _cosine(peak, end, (step - top) / (total - 1 - top))


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))
