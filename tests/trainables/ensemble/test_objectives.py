"""What attacks raise: by hand, and above 0 where a network is wrong."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.attacks.attack import wrong
from trainables.ensemble.objectives import (
    Objective,
    ascent,
    log_odds,
    margin,
    targeted_difference,
    targeted_dlr,
)

SCORES = torch.tensor([[4.0, 1.0, 3.0, -2.0, 0.0], [0.0, 5.0, 1.0, 2.0, 3.0]])
LABELS, TARGETS = torch.tensor([0, 4]), torch.tensor([2, 3])


def test_by_hand() -> None:
    odds = [
        math.log(sum(math.exp(other) for other in (1, 3, -2, 0))) - 4,
        math.log(1 + math.e**5 + math.e + math.e**2) - 3,
    ]
    assert log_odds(SCORES, LABELS, TARGETS).tolist() == pytest.approx(odds, rel=1e-6)
    assert margin(SCORES, LABELS, TARGETS).tolist() == [-1, 2]
    assert targeted_difference(SCORES, LABELS, TARGETS).tolist() == [-1, -1]
    # sorted: 4 3 1 0 -2 and 5 3 2 1 0
    assert targeted_dlr(SCORES, LABELS, TARGETS).tolist() == pytest.approx([-1 / (4 - 0.5), -1 / (5 - 1.5)])


def test_with_three_classes_the_ratio_is_the_difference() -> None:
    scores = SCORES[:, :3]
    assert targeted_dlr(scores, torch.tensor([0, 1]), torch.tensor([2, 2])).tolist() == [-1, -4]


def test_the_ratio_does_not_depend_on_the_scale() -> None:
    once, scaled = (targeted_dlr(factor * SCORES, LABELS, TARGETS) for factor in (1, 1000))
    assert torch.allclose(once, scaled)


@pytest.mark.parametrize("objective", [log_odds, margin])
def test_it_is_above_0_exactly_where_another_class_leads(objective: Objective) -> None:
    torch.manual_seed(0)
    scores, labels = 20 * torch.randn(500, 7), torch.randint(7, (500,))
    leads = scores.argmax(1) != labels
    raised = objective(scores, labels, labels)
    assert bool((raised[leads] > 0).all())
    assert bool((margin(scores, labels, labels)[~leads] <= 0).all())
    assert torch.equal(wrong(scores, labels), leads)


def test_log_odds_point_where_cross_entropy_does_and_do_not_vanish() -> None:
    torch.manual_seed(0)
    last = nn.Linear(9, 4)
    model = nn.Sequential(nn.Flatten(), last)
    x, labels = torch.rand(20, 1, 3, 3), torch.randint(4, (20,))
    _, gradient, _ = ascent(model, x, labels, labels, log_odds)
    leaf = x.clone().requires_grad_(True)
    (expected,) = torch.autograd.grad(cross_entropy(model(leaf), labels, reduction="sum"), leaf)
    same = torch.cosine_similarity(gradient.flatten(1), expected.flatten(1))
    assert same.tolist() == pytest.approx([1.0] * 20, abs=1e-4)
    with torch.no_grad():
        last.weight.mul_(1e4)
    labels = ascent(model, x, labels, labels, log_odds)[2].argmax(1)  # sure of every image
    assert float(ascent(model, x, labels, labels, log_odds)[1].abs().flatten(1).amax(1).min()) > 1


def test_a_score_that_is_no_number_counts_as_wrong_and_has_no_direction() -> None:
    class Torn(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            side = x.flatten(1).sum(1)
            return torch.stack([side, side / torch.where(side > 5, 0.0, 1.0) * 0], 1)

    x = torch.ones(2, 1, 3, 3) * torch.tensor([0.1, 0.9]).reshape(2, 1, 1, 1)
    _, gradient, scores = ascent(Torn(), x, torch.tensor([0, 0]), torch.tensor([1, 1]), margin)
    assert wrong(scores, torch.tensor([0, 0])).tolist() == [False, True]
    assert bool(gradient.isfinite().all())
