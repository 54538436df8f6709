"""Attacks against closed forms on a linear model, and the contract that the caller enforces."""

import math

import pytest
import torch
from torch import Generator, Tensor, nn

from trainables.attacks import Attack, NFgsmAttack, PgdAttack, Unperturbed, perturb
from trainables.cost import Ledger, PassCost
from trainables.errors import TemperError
from trainables.evaluation import evaluate
from trainables.models import build
from trainables.recipe import Network

ATTACKS: list[Attack] = [
    PgdAttack(epsilon=0.1, steps=5),
    PgdAttack(epsilon=0.1, steps=1, step_size=0.5),
    NFgsmAttack(epsilon=0.1),
    Unperturbed(),
]


def linear() -> nn.Module:
    """Two classes; logit difference w·x with w = (2, -1, 0.5, -3)."""
    layer = nn.Linear(4, 2, bias=False)
    w = torch.tensor([2.0, -1.0, 0.5, -3.0])
    layer.weight.data = torch.stack([w / 2, -w / 2])
    return nn.Sequential(nn.Flatten(), layer)


def test_pgd_finds_the_exact_worst_case_of_a_linear_model() -> None:
    x = torch.full((50, 1, 2, 2), 0.5)
    y = torch.arange(50).remainder(2)
    adversarial = perturb(PgdAttack(epsilon=0.1, steps=10), linear(), x, y, Generator().manual_seed(0))
    w = torch.tensor([2.0, -1.0, 0.5, -3.0]).reshape(1, 2, 2)
    side = torch.where(y == 0, -1.0, 1.0).reshape(-1, 1, 1, 1)
    assert torch.allclose(adversarial, x + 0.1 * side * w.sign())


def test_robust_accuracy_equals_the_known_margins() -> None:
    # Class 0 wins by w·x; an attack of epsilon lowers that by epsilon × |w|₁ = 6.5 epsilon.
    x = torch.full((40, 1, 2, 2), 0.5)
    x[:, 0, 0, 0] = torch.linspace(0.3, 0.9, 40)
    margin = (x.flatten(1) @ torch.tensor([2.0, -1.0, 0.5, -3.0])).clone()
    y = torch.where(margin > 0, 0, 1)
    ledger = Ledger()
    attack = PgdAttack(epsilon=0.05, steps=20)
    score = evaluate(linear(), x, y, attack, batch_size=7, cost=PassCost(1, 10, 100), ledger=ledger)
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


@pytest.mark.parametrize("attack", ATTACKS, ids=str)
def test_every_attack_keeps_the_contract(attack: Attack) -> None:
    model = build(Network(name="small"), "digits", (1, 8, 8)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    x = torch.rand(16, 1, 8, 8, generator=Generator().manual_seed(1))
    y = torch.arange(16).remainder(10)
    seen: list[tuple[bool, bool]] = []
    hook = model.register_forward_pre_hook(
        lambda module, _: seen.append((module.training, any(p.requires_grad for p in module.parameters())))
    )
    adversarial = perturb(attack, model, x, y, Generator().manual_seed(0))
    hook.remove()
    assert seen == [(False, False)] * attack.passes
    assert float((adversarial - x).abs().max()) <= attack.bound + 1e-6
    assert float(adversarial.min()) >= 0
    assert float(adversarial.max()) <= 1
    assert model.training
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    again = perturb(attack, model, x, y, Generator().manual_seed(0))
    assert torch.equal(adversarial, again)


class Cheating:
    """Declares a bound that it does not keep."""

    passes = 0
    bound = 0.1

    def __init__(self, shift: float) -> None:
        self.shift = shift

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, generator: Generator) -> Tensor:
        return x + self.shift


@pytest.mark.parametrize("shift", [0.2, -0.2, math.nan, math.inf])
def test_a_broken_bound_is_refused(shift: float) -> None:
    x = torch.full((2, 1, 2, 2), 0.5)
    with pytest.raises(TemperError, match="left its bound"):
        perturb(Cheating(shift), linear(), x, torch.zeros(2, dtype=torch.long), Generator())
