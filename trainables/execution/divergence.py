"""Detects training that has failed and is to end early: a loss that is not finite, and catastrophic overfitting."""

import math
from collections.abc import Sequence
from typing import Any

from trainables.attacks.config import Perturbation
from trainables.attacks.registry import attack_of
from trainables.recipe.schedule import Loop

COLLAPSED = 0.5  # share of its best robust accuracy that a model must lose to count as collapsed
STANDARD_ERRORS = 4.0  # the fall must also exceed this many standard errors of the difference


def diverged(loss: float, epoch: int) -> str | None:
    """Returns the reason to end early if a training loss is not finite, else None."""
    return None if math.isfinite(loss) else f"diverged: the training loss became {loss} in epoch {epoch}"


def catastrophic_overfitting(
    history: Sequence[dict[str, Any]], perturbation: Perturbation, loop: Loop, *, examples: int
) -> str | None:
    """Returns the reason to end early if single-step training has overfitted catastrophically, else None.

    The model then withstands the single-step perturbation that it is trained on, but PGD no longer (arXiv 2001.03994,
    section 5; 2007.02617). This is so where accuracy on the training perturbation is no lower than in the epoch of the
    best robust accuracy so far, while robust accuracy has fallen to less than half of that best, by more than four
    standard errors.

    Args:
        history: one row for each epoch, with train_accuracy and robust_accuracy (0–1).
        perturbation: the perturbation that it trains on; one of several passes does not lead to this overfitting.
        loop: the loop that it trains in; the free loop counts as single-step training, too.
        examples: number of examples that the robust accuracies were measured on.
    """
    single_step = loop.kind == "free" or attack_of(perturbation).passes == 1
    if not single_step or len(history) < 2:
        return None
    *before, last = history
    best = max(before, key=lambda row: float(row["robust_accuracy"]))
    high, low = float(best["robust_accuracy"]), float(last["robust_accuracy"])
    error = math.sqrt((high * (1 - high) + low * (1 - low)) / examples)
    if low >= COLLAPSED * high or high - low <= STANDARD_ERRORS * error:
        return None
    if last["train_accuracy"] < best["train_accuracy"]:
        return None
    return (
        f"catastrophic overfitting in epoch {last['epoch']}: robust accuracy fell from {high:.3f} to {low:.3f} while "
        f"accuracy on the training perturbation rose from {best['train_accuracy']:.3f} to {last['train_accuracy']:.3f}"
    )
