"""Attacks against closed forms on a linear model, and what their caller refuses."""

import itertools
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import input_gradient, perturb
from trainables.attacks.config import FGSM, NFGSM, PGD, NoPerturbation, Norm, Perturbation
from trainables.attacks.fgsm import FgsmAttack, NFgsmAttack
from trainables.attacks.pgd import PgdAttack
from trainables.attacks.registry import Unperturbed, warmed
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.errors import TemperError
from trainables.evaluation.score import evaluate

W = torch.tensor([2.0, -1.0, 0.5, -3.0])


def linear() -> nn.Module:
    """Two classes; logit difference w·x with w = (2, -1, 0.5, -3)."""
    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data = torch.stack([W / 2, -W / 2])
    return nn.Sequential(nn.Flatten(), layer)


@dataclass(frozen=True)
class InPlace(PgdAttack):
    """One in ordinary PyTorch style, which changes the images that it is given."""

    step: float = 0.1

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        x += self.step
        return x.clamp_(0, 1)


def test_an_attack_in_place_leaves_the_images_alone_and_is_held_to_its_bound() -> None:
    x, y = torch.full((4, 1, 2, 2), 0.5), torch.zeros(4, dtype=torch.long)
    adversarial = perturb(InPlace(epsilon=0.1, steps=1), linear(), x, y, Generator())
    assert torch.equal(x, torch.full_like(x, 0.5))
    assert torch.equal(adversarial, torch.full_like(x, 0.6))
    with pytest.raises(TemperError, match=r"left its bound: \|x_adv - x\| = 0.3, allowed 0.1"):
        perturb(InPlace(epsilon=0.1, steps=1, step=0.3), linear(), x, y, Generator())


def test_pgd_finds_the_exact_worst_case_of_a_linear_model() -> None:
    x = torch.full((50, 1, 2, 2), 0.5)
    y = torch.arange(50).remainder(2)
    adversarial = perturb(PgdAttack(epsilon=0.1, steps=10), linear(), x, y, Generator().manual_seed(0))
    w = W.reshape(1, 2, 2)
    side = torch.where(y == 0, -1.0, 1.0).reshape(-1, 1, 1, 1)
    assert torch.allclose(adversarial, x + 0.1 * side * w.sign())


def test_l2_pgd_finds_the_exact_worst_case_of_a_linear_model() -> None:
    x = torch.full((50, 1, 2, 2), 0.5)
    y = torch.arange(50).remainder(2)
    attack = PgdAttack(norm="l2", epsilon=0.2, steps=40, step_size=0.2)
    adversarial = perturb(attack, linear(), x, y, Generator().manual_seed(0))
    side = torch.where(y == 0, -1.0, 1.0).reshape(-1, 1, 1, 1)
    assert torch.allclose(adversarial, x + 0.2 * side * (W / W.norm()).reshape(1, 2, 2), atol=1e-4)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("steps", [2, 5, 10])
def test_pgd_walks_two_and_a_half_times_epsilon_in_all_where_no_step_size_is_given(norm: Norm, steps: int) -> None:
    # A step of the walk is seen whole where it ends inside the ball, and is shorter where it is projected.
    x, model = torch.full((500, 1, 2, 2), 0.5), linear()
    places: list[Tensor] = []
    model.register_forward_pre_hook(lambda _, given: places.append(given[0].detach()))
    attack = PgdAttack(norm=norm, epsilon=0.1, steps=steps)
    places.append(perturb(attack, model, x, torch.zeros(500, dtype=torch.long), Generator().manual_seed(0)))
    assert len(places) == steps + 1
    moves = [(after - before).flatten(1) for before, after in itertools.pairwise(places)]
    longest = max(float((move.abs() if norm == "linf" else move.norm(dim=1)).max()) for move in moves)
    assert longest == pytest.approx(2.5 * 0.1 / steps, rel=1e-4)


def test_robust_accuracy_in_l2_equals_the_known_margins() -> None:
    x = torch.full((40, 1, 2, 2), 0.5)
    x[:, 0, 0, 0] = torch.linspace(0.3, 0.9, 40)
    margin = x.flatten(1) @ W
    y = torch.where(margin > 0, 0, 1)
    attack = PgdAttack(norm="l2", epsilon=0.05, steps=20)
    score = evaluate(linear(), x, y, attack, batch_size=7, cost=PassCost(1, 10, 100, 1000), ledger=Ledger())
    assert score.robust.tolist() == (margin.abs() > float(W.norm()) * 0.05).tolist()


def test_the_l2_start_is_uniform_in_the_ball() -> None:
    # In four dimensions, half of a uniform sample lies within 0.5 ** (1 / 4) of the radius.
    x = torch.full((4000, 1, 2, 2), 0.5)
    attack = PgdAttack(norm="l2", epsilon=0.2, steps=1, step_size=1e-9)
    shift = perturb(attack, linear(), x, torch.zeros(4000, dtype=torch.long), Generator().manual_seed(0)) - x
    inner = shift.flatten(1).norm(dim=1) < 0.2 * 0.5**0.25
    assert float(inner.float().mean()) == pytest.approx(0.5, abs=0.03)
    assert float(shift.mean()) == pytest.approx(0, abs=0.005)


def test_fgsm_is_one_projected_step_from_a_uniform_start() -> None:
    x = torch.full((2000, 1, 2, 2), 0.5)
    y = torch.zeros(2000, dtype=torch.long)
    shift = perturb(FgsmAttack(epsilon=0.1), linear(), x, y, Generator().manual_seed(0)) - x
    along = -shift * W.sign().reshape(1, 2, 2)  # min(epsilon, u + 1.25 epsilon) with u uniform in ± epsilon
    assert float(along.min()) == pytest.approx(0.025, abs=1e-3)
    assert float(along.max()) == pytest.approx(0.1, abs=1e-6)
    assert float((along < 0.1 - 1e-6).float().mean()) == pytest.approx(0.75 / 2, abs=0.02)


def test_probabilities_as_target_raise_the_divergence_from_them() -> None:
    # Softmax of the clean logits: the cross-entropy with it is least at x, so the attack goes either way from there,
    # and both ends of a linear model's ball lie on its corners.
    x = torch.full((50, 1, 2, 2), 0.5)
    with torch.no_grad():
        target = linear()(x).softmax(1)
    attack = PgdAttack(epsilon=0.1, steps=10)
    shift = perturb(attack, linear(), x, target, Generator().manual_seed(0)) - x
    along = (shift.flatten(1) @ W) / (0.1 * W.abs().sum())
    assert torch.allclose(along.abs(), torch.ones(50), atol=1e-5)
    assert 0 < int((along > 0).sum()) < 50


@pytest.mark.parametrize(
    "perturbation",
    [
        FGSM(epsilon=0.1, step_size=0.05, warm_up=0.5),
        NFGSM(epsilon=0.1, warm_up=0.5),
        PGD(epsilon=0.1, steps=3, step_size=0.05, warm_up=0.5),
    ],
)
def test_epsilon_warms_up_in_a_line(perturbation: Perturbation) -> None:
    bounds = [warmed(perturbation, step, 8).bound / warmed(perturbation, 7, 8).bound for step in range(8)]
    assert bounds == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1, 1, 1])
    first = warmed(perturbation, 0, 8)
    if isinstance(first, FgsmAttack | PgdAttack):
        assert first.step_size == pytest.approx(0.05 / 4)
    assert warmed(NoPerturbation(), 0, 8) == Unperturbed()


def test_robust_accuracy_equals_the_known_margins() -> None:
    # Class 0 wins by w·x; an attack of epsilon lowers that by epsilon × |w|₁ = 6.5 epsilon.
    x = torch.full((40, 1, 2, 2), 0.5)
    x[:, 0, 0, 0] = torch.linspace(0.3, 0.9, 40)
    margin = (x.flatten(1) @ W).clone()
    y = torch.where(margin > 0, 0, 1)
    ledger = Ledger()
    attack = PgdAttack(epsilon=0.05, steps=20)
    score = evaluate(linear(), x, y, attack, batch_size=7, cost=PassCost(1, 10, 100, 1000), ledger=ledger)
    assert score.clean.all()
    assert score.robust.tolist() == (margin.abs() > 6.5 * 0.05).tolist()
    assert ledger.validation == 40 + 40 + 40 * 20 * 10
    p = score.robust_accuracy
    assert score.robust_standard_error == pytest.approx(math.sqrt(p * (1 - p) / 40))


def test_n_fgsm_is_noise_of_two_epsilon_and_one_step_not_projected() -> None:
    x = torch.full((500, 1, 2, 2), 0.5)
    y = torch.zeros(500, dtype=torch.long)
    adversarial = perturb(NFgsmAttack(epsilon=0.1), linear(), x, y, Generator().manual_seed(0))
    step = -0.1 * torch.tensor([1.0, -1.0, 1.0, -1.0]).reshape(1, 2, 2)
    noise = adversarial - x - step
    assert float(noise.abs().max()) <= 0.2 + 1e-6
    assert float((adversarial - x).abs().max()) > 0.25  # beyond epsilon: projecting would weaken it
    assert float(noise.std()) == pytest.approx(0.2 / math.sqrt(3), rel=0.05)


class Cheating:
    """Declares a bound that it does not keep."""

    passes = 0
    sound = True
    bound = 0.1

    def __init__(self, shift: float, norm: Norm) -> None:
        self.shift, self.norm = shift, norm

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return x + self.shift


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("shift", [0.2, -0.2, math.nan, math.inf])
def test_a_broken_bound_is_refused(shift: float, norm: Norm) -> None:
    x = torch.full((2, 1, 2, 2), 0.5)
    with pytest.raises(TemperError, match="left its bound"):
        perturb(Cheating(shift, norm), linear(), x, torch.zeros(2, dtype=torch.long), Generator())


@pytest.mark.parametrize(("pixel", "shift"), [(0.98, 0.05), (0.02, -0.05)])
def test_leaving_the_range_of_pixels_is_refused_inside_the_bound_too_but_of_an_unsound_attack(
    pixel: float, shift: float
) -> None:
    x, y, attack = torch.full((2, 1, 2, 2), pixel), torch.zeros(2, dtype=torch.long), Cheating(shift, "linf")
    with pytest.raises(TemperError, match="left its bound"):
        perturb(attack, linear(), x, y, Generator())
    attack.sound = False
    assert torch.equal(perturb(attack, linear(), x, y, Generator()), x + shift)


class Careless(Cheating):
    """Returns what it was told to, after so many passes."""

    bound = 1.0

    def __init__(self, result: object, calls: int = 0) -> None:
        super().__init__(0.0, "linf")
        self.result, self.calls = result, calls

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        for _ in range(self.calls):
            input_gradient(model, x, target)
        return self.result  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("result", "calls", "message"),
    [
        (torch.full((2, 1, 2, 2), 0.5), 1, "made 1 passes, declared 0, by which it is charged"),
        (torch.full((1, 1, 2, 2), 0.5), 0, r"gave \(1, 1, 2, 2\), expected images of shape \(2, 1, 2, 2\)"),
        (None, 0, r"gave NoneType, expected images of shape \(2, 1, 2, 2\)"),
    ],
)
def test_uncounted_passes_and_what_is_no_batch_of_images_are_refused(result: object, calls: int, message: str) -> None:
    x, model = torch.full((2, 1, 2, 2), 0.5), linear()
    with pytest.raises(TemperError, match=message):
        perturb(Careless(result, calls), model, x, torch.zeros(2, dtype=torch.long), Generator())
    assert not model._forward_pre_hooks


def test_each_attack_is_held_to_the_distance_that_it_can_go() -> None:
    """N-FGSM takes noise of 2 epsilon and a step of epsilon; the others come back into the ball."""
    attacks = (PgdAttack(epsilon=0.1, steps=3), FgsmAttack(epsilon=0.1), NFgsmAttack(epsilon=0.1))
    assert [attack.bound for attack in attacks] == pytest.approx([0.1, 0.1, 0.3])


def test_a_pixel_may_be_off_by_a_rounding_and_not_by_a_share_of_epsilon() -> None:
    x, y = torch.full((4, 1, 2, 2), 0.5), torch.zeros(4, dtype=torch.long)
    perturb(InPlace(epsilon=0.4, steps=1, step=0.4000005), linear(), x, y, Generator())
    with pytest.raises(TemperError, match="left its bound"):
        perturb(InPlace(epsilon=0.4, steps=1, step=0.400003), linear(), x, y, Generator())
