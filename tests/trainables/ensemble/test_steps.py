"""The parts of Auto-PGD, of restarts and of Square by hand: what an outcome on a linear network does not show."""

import pytest
import torch
from torch import Generator, Tensor, nn

from trainables.attacks.config import Norm
from trainables.attacks.pgd import Ball, PgdAttack
from trainables.ensemble import ensemble
from trainables.ensemble.apgd import _check, _Images, _step, climb
from trainables.ensemble.ensemble import MISTAKEN, STANDS, Turn, _directions, run_turns
from trainables.ensemble.fab import length
from trainables.ensemble.objectives import margin
from trainables.ensemble.restarts import Directions, RestartedAttack
from trainables.ensemble.square import SquareAttack, _squares
from trainables.evaluation.config import ThreatModel


class Brightness(nn.Module):
    """Two classes; the margin against label 0 is twice what the mean lies above a half."""

    def forward(self, x: Tensor) -> Tensor:
        above = x.flatten(1).mean(1) - 0.5
        return torch.stack([-above, above], 1)


def column(*values: float) -> Tensor:
    return torch.tensor(values).reshape(-1, 1, 1, 1)


def rows(*, rises: Tensor, size: Tensor, checked_size: Tensor, checked_value: Tensor) -> _Images:
    """Images whose fields are told apart by their values; the best of each is 0.6, with an objective of 5."""
    count = len(rises)
    labels = torch.zeros(count, dtype=torch.long)
    return _Images(
        place=torch.arange(count), x=column(*[0.5] * count), here=column(*[0.4] * count),
        before=column(*[0.3] * count), best=column(*[0.6] * count), labels=labels, targets=labels,
        value=torch.full((count,), 1.0), best_value=torch.full((count,), 5.0), checked_value=checked_value,
        gradient=column(*[-1.0] * count), best_gradient=column(*[2.0] * count), size=size, checked_size=checked_size,
        rises=rises,
    )  # fmt: skip


def test_a_check_halves_steps_that_rose_too_seldom_or_led_nowhere_and_goes_back_to_the_best() -> None:
    """Of four steps three must have risen; and of two checks with the same step, the second must have found more."""
    images = rows(
        rises=torch.tensor([3.0, 2.0, 4.0, 4.0]),
        size=column(1, 1, 1, 1),
        checked_size=column(1, 2, 1, 2),
        checked_value=torch.tensor([4.0, 4.0, 5.0, 5.0]),
    )
    _check(images, 4)
    assert images.size.flatten().tolist() == [1, 0.5, 0.5, 1]
    assert images.here.flatten().tolist() == pytest.approx([0.4, 0.6, 0.6, 0.4])
    assert images.before.flatten().tolist() == pytest.approx([0.3, 0.6, 0.6, 0.3])
    assert images.gradient.flatten().tolist() == [-1, 2, 2, -1]
    assert images.value.tolist() == [1, 5, 5, 1]
    assert images.checked_size.flatten().tolist() == [1, 1, 1, 1]
    assert images.checked_value.tolist() == [5, 5, 5, 5]
    assert images.rises.tolist() == [0, 0, 0, 0]


def test_three_quarters_of_a_step_follow_the_gradient_and_the_rest_goes_on() -> None:
    one = torch.ones(1)
    images = rows(rises=one, size=column(0.1), checked_size=column(0.1), checked_value=one)
    _step(images, Ball(x=images.x, epsilon=0.4, norm="linf"), 0.75)
    assert float(images.here) == pytest.approx(0.4 - 0.75 * 0.1 + 0.25 * 0.1)
    assert float(images.before) == pytest.approx(0.4)


def test_the_first_step_goes_through_the_whole_ball() -> None:
    """From one edge of it to the other: two epsilon, without a step before it to go on with."""
    x, label = torch.full((1, 1, 2, 2), 0.3), torch.zeros(1, dtype=torch.long)
    ball = Ball(x=x, epsilon=0.1, norm="linf")
    found = climb(Brightness(), ball, label, label, x - 0.1, objective=margin, steps=1)
    assert torch.allclose(found, x + 0.1)


def test_directions_of_an_images_own_class_are_tried_first_and_the_best_of_them_is_the_start() -> None:
    shifts = torch.tensor([-0.1, 0.05, 0.1, -0.05]).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    known = Directions(shifts, torch.tensor([0, 1, 0, 1]))
    attack = RestartedAttack(epsilon=0.1, norm="linf", directions=known, tried=2, steps=0)
    labels, x = torch.tensor([0, 1, 0, 1]), torch.full((4, 1, 2, 2), 0.3)
    assert attack._picked(labels, Generator()).sort(1).values.tolist() == [[0, 2], [1, 3], [0, 2], [1, 3]]
    x[1::2] = 0.7  # which label 1 is right of, and darkness is against
    found = attack(Brightness(), x, labels, Generator())
    assert found[:, 0, 0, 0].tolist() == pytest.approx([0.4, 0.65, 0.4, 0.65])


def test_directions_are_the_shifts_that_attacks_found_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "DIRECTIONS", 2)
    images, shift = column(0.1, 0.1, 0.1, 0.1, 0.1), column(0.1, 0.2, 0.3, 0.4, 0.5)
    broken_by = torch.tensor([1, 3, 2, STANDS, MISTAKEN])
    found = _directions(images, images + shift, torch.arange(5), broken_by)
    assert found.labels.tolist() == [1, 2]
    assert found.shifts.flatten().tolist() == pytest.approx([0.2, 0.3])
    monkeypatch.undo()
    assert _directions(images, images + shift, torch.arange(5), broken_by).labels.tolist() == [1, 2, 0]


def test_another_seed_draws_otherwise() -> None:
    images, labels = torch.full((20, 1, 2, 2), 0.49), torch.zeros(20, dtype=torch.long)
    turn = Turn("PGD", PgdAttack, {"steps": 1, "step_size": 0.02})
    found = [
        run_turns(Brightness(), images, labels, ThreatModel(epsilon=0.03), [turn], seed=seed).adversarial
        for seed in (0, 0, 1)
    ]
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_a_square_that_moves_leaves_the_shift_as_long_as_epsilon_and_the_rest_as_it_was() -> None:
    generator = Generator().manual_seed(0)
    x = torch.full((6, 3, 8, 8), 0.5)
    attack = SquareAttack(epsilon=0.4, norm="l2", queries=2)
    here = attack._start(x, generator)
    moved = attack._moved(x, here, 3, _squares(x, 3, generator), generator)
    assert length(moved - x, "l2").tolist() == pytest.approx([0.4] * 6, rel=1e-5)
    assert ((moved == here).flatten(1).sum(1) >= 3 * (64 - 2 * 9)).all()


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_square_ends_at_the_largest_margin_that_it_saw(norm: Norm) -> None:
    torch.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 3))
    x, seen = torch.rand(1, 1, 8, 8), list[float]()
    label = inner(x).argmax(1)

    class Noting(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            scores: Tensor = inner(images)
            seen.append(float(margin(scores.detach(), label, label)))
            return scores

    attack = SquareAttack(epsilon=0.02, norm=norm, queries=201)
    found = attack(Noting(), x, label, Generator().manual_seed(0))
    assert len(seen) == 201
    assert max(seen) < 0
    assert float(margin(inner(found).detach(), label, label)) == pytest.approx(max(seen))
    assert max(seen) > seen[0]
