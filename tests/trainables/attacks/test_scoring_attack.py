"""The attack that scores recipes: exact where the answer is known, no weaker than PGD, and no pass too many."""

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import cross_entropy_gradient, margin_gradient, perturb
from trainables.attacks.config import Norm
from trainables.attacks.gradients import GradientCounter
from trainables.attacks.pgd import PgdAttack
from trainables.attacks.scoring_attack import ScoringAttack

EPSILON = 0.1


class Plane(nn.Module):
    """Two classes on the sides of a plane through the middle of the pixels: scores ±w·(x − 1/2)."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        side = ((x - 0.5) * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([side, -side], 1)


def standing(attack: ScoringAttack | PgdAttack, model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    found = perturb(attack, model, x, y, Generator().manual_seed(0))
    with torch.no_grad():
        scores: Tensor = model(found)
    return scores.argmax(1) == y


def network(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 40), nn.ReLU(), nn.Linear(40, 10)).eval()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_on_a_plane_it_breaks_what_can_be_broken_and_nothing_else(norm: Norm) -> None:
    """The distance from the plane is known: |w·(x − 1/2)| over the dual norm of w; pixels stay far from 0 and 1."""
    torch.manual_seed(0)
    model = Plane(torch.randn(1, 4, 4))
    x = 0.5 + 0.2 * (torch.rand(400, 1, 4, 4) - 0.5)
    scores = model(x).detach()
    y = scores.argmax(1)
    dual = model.weights.abs().sum() if norm == "linf" else model.weights.norm()
    distance = scores.abs()[:, 0] / dual.detach()
    near = (distance - EPSILON * 0.4).abs() < 1e-4  # where rounding decides
    stands = standing(ScoringAttack(epsilon=EPSILON * 0.4, steps=20, norm=norm), model, x, y)
    assert torch.equal(stands[~near], (distance > EPSILON * 0.4)[~near])
    assert 0 < int(stands.sum()) < 400


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_it_breaks_no_fewer_than_pgd_of_as_many_passes(norm: Norm, scale: float) -> None:
    counts = {"ours": 0, "pgd": 0}
    for seed in range(4):
        model = network(seed)
        for parameter in model[3].parameters():
            parameter.data *= scale
        x = torch.rand(200, 1, 4, 4)
        y = model(x).argmax(1)
        epsilon = 0.06 if norm == "linf" else 0.2
        counts["ours"] += int(standing(ScoringAttack(epsilon=epsilon, steps=10, norm=norm), model, x, y).sum())
        counts["pgd"] += int(standing(PgdAttack(epsilon=epsilon, steps=10, norm=norm), model, x, y).sum())
    assert 0 < counts["ours"] <= counts["pgd"] < 800


def test_no_pass_is_spent_on_an_image_that_is_broken_and_none_is_left_out_of_the_count() -> None:
    model, attack = network(0), ScoringAttack(epsilon=0.06, steps=10)
    x = torch.rand(200, 1, 4, 4)
    y = model(x).argmax(1)
    lengths: list[int] = []
    model.register_forward_pre_hook(lambda _, given: lengths.append(len(given[0])))
    counter = GradientCounter()
    found = perturb(attack, model, x, y, Generator().manual_seed(0), counter)
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == 200 > lengths[-1] > 0
    assert len(lengths) == attack.passes
    assert counter.passes == counter.seen == sum(lengths)
    broken = model(found).argmax(1) != y
    assert int(broken.sum()) >= 200 - lengths[-1]  # an image that was left stays broken


def test_images_that_the_network_gets_wrong_anyway_are_returned_inside_the_ball() -> None:
    model = network(0)
    x = torch.rand(20, 1, 4, 4)
    wrong = model(x).argmin(1)
    found = perturb(ScoringAttack(epsilon=0.05, steps=3), model, x, wrong, Generator().manual_seed(0))
    assert float((found - x).abs().max()) <= 0.05 + 1e-6


def test_the_margin_is_that_of_the_best_other_class() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    model[1].weight.data = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]])
    x = torch.tensor([[[[0.2, 0.3, 0.4, 0.9]]], [[[0.9, 0.3, 0.1, 0.0]]]])
    gradient, scores = margin_gradient(model, x, torch.tensor([0, 1]))
    assert torch.equal(scores, x.flatten(1)[:, :3])
    assert gradient.flatten(1).tolist() == [[-1.0, 0.0, 1.0, 0.0], [1.0, -1.0, 0.0, 0.0]]


def test_the_last_steps_are_short_and_one_step_goes_the_whole_way() -> None:
    """One step: cross-entropy alone, of length 2 epsilon, so that every pixel reaches the edge of its ball."""
    model = network(1)
    x = 0.4 + 0.2 * torch.rand(50, 1, 4, 4)
    y = model(x).argmax(1)
    found = perturb(ScoringAttack(epsilon=0.01, steps=1), model, x, y, Generator().manual_seed(0))
    assert math.isclose(float((found - x).abs().median()), 0.01, rel_tol=1e-3)


def test_of_an_odd_number_of_steps_the_cross_entropy_has_one_more() -> None:
    """Half of a cosine each: from 2 epsilon over three steps, then from epsilon over two."""
    losses, sizes = zip(*ScoringAttack(epsilon=0.1, steps=5)._plan(), strict=True)
    assert losses == (cross_entropy_gradient,) * 3 + (margin_gradient,) * 2
    assert sizes == pytest.approx([0.2, 0.15, 0.05, 0.1, 0.05])
