"""When a recipe is ended early."""

import math
from typing import Any

import pytest

from trainables.attacks.config import FGSM, NFGSM, PGD, Perturbation
from trainables.execution.divergence import catastrophic_overfitting, diverged
from trainables.recipe.schedule import FreeLoop, Loop, OrdinaryLoop


def rows(*pairs: tuple[float, float]) -> list[dict[str, Any]]:
    """Epochs of (accuracy on the training perturbation, robust accuracy)."""
    return [
        {"epoch": number, "train_accuracy": trained, "robust_accuracy": robust}
        for number, (trained, robust) in enumerate(pairs, start=1)
    ]


def found(
    history: list[dict[str, Any]], perturbation: Perturbation | None = None, loop: Loop | None = None
) -> str | None:
    perturbation, loop = perturbation or NFGSM(epsilon=0.1), loop or OrdinaryLoop()
    return catastrophic_overfitting(history, perturbation, loop, examples=128)


def test_single_step_accuracy_up_and_pgd_down_is_catastrophic_overfitting() -> None:
    reason = found(rows((0.5, 0.4), (0.6, 0.5), (0.95, 0.05)))
    assert reason is not None
    assert reason.startswith("catastrophic overfitting in epoch 3: robust accuracy fell from 0.500 to 0.050")
    assert found(rows((0.6, 0.5), (0.95, 0.05)), FGSM(epsilon=0.1), FreeLoop()) is not None
    assert found(rows((0.6, 0.5), (0.95, 0.05)), PGD(epsilon=0.1, steps=1)) is not None


@pytest.mark.parametrize(
    "history",
    [
        rows((0.9, 0.0)),  # one epoch has nothing to fall from
        rows((0.6, 0.5), (0.9, 0.26)),  # less than half was lost
        rows((0.6, 0.5), (0.5, 0.05)),  # training accuracy fell too: unstable, but not this
        rows((0.2, 0.06), (0.9, 0.01)),  # within the noise of 128 examples
        rows((0.5, 0.4), (0.9, 0.1), (0.6, 0.5)),  # recovered
    ],
)
def test_what_is_not_catastrophic_overfitting(history: list[dict[str, Any]]) -> None:
    assert found(history) is None


def test_training_against_several_steps_is_not_looked_at() -> None:
    assert found(rows((0.6, 0.5), (0.95, 0.05)), PGD(epsilon=0.1, steps=2)) is None


def test_a_loss_that_is_no_number_has_diverged() -> None:
    assert diverged(1.5, 3) is None
    for loss in (math.nan, math.inf):
        assert diverged(loss, 3) == f"diverged: the training loss became {loss} in epoch 3"
