"""Losses against their formulas, and how often each goes through the network."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.losses.config import CrossEntropy, Loss, Mixed, Trades
from trainables.losses.losses import TrainingLoss, loss_of
from trainables.models.build import build
from trainables.models.config import Network

LOSSES: list[Loss] = [
    CrossEntropy(),
    CrossEntropy(label_smoothing=0.1),
    Mixed(clean_weight=0.3),
    Trades(beta=6.0),
]


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return build(Network(name="small"), (1, 8, 8)).train()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(12, 1, 8, 8, generator=generator)
    noise = 0.1 * torch.randn(x.shape, generator=generator)
    return x, (x + noise).clamp(0, 1), torch.arange(12).remainder(10)


@pytest.mark.parametrize("recipe", LOSSES, ids=str)
def test_every_loss_keeps_the_contract(recipe: Loss, model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> None:
    x, adversarial, y = batch
    loss: TrainingLoss = loss_of(recipe)
    passes: list[tuple[bool, bool]] = []
    model.register_forward_pre_hook(lambda module, _: passes.append((module.training, torch.is_grad_enabled())))
    target = loss.target(model, x, y)
    assert passes == [(False, False)] * loss.target_passes
    assert not target.requires_grad
    passes.clear()
    value, logits = loss(model, x, adversarial, y)
    assert passes == [(True, True)] * loss.full_passes
    assert logits.shape == (12, 10)
    assert model.training
    torch.autograd.backward(value)
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_the_formulas_and_their_gradients(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    """A network that is sure of itself, since one with new weights answers alike to all images."""
    x, adversarial, y = batch
    layer = nn.Linear(64, 10)
    nn.init.normal_(layer.weight, std=2.0, generator=torch.Generator().manual_seed(0))
    model = nn.Sequential(nn.Flatten(), layer)
    clean, perturbed = model(x), model(adversarial)
    p, q = clean.softmax(1), perturbed.softmax(1)
    divergence = (p * (p.log() - q.log())).sum(1).mean()
    formulas: dict[Loss, Tensor] = {
        CrossEntropy(): cross_entropy(perturbed, y),
        CrossEntropy(label_smoothing=0.1): 0.9 * cross_entropy(perturbed, y) - 0.1 * perturbed.log_softmax(1).mean(),
        Mixed(clean_weight=0.3): 0.3 * cross_entropy(clean, y) + 0.7 * cross_entropy(perturbed, y),
        Trades(beta=6.0): cross_entropy(clean, y) + 6 * divergence,
    }
    for recipe, wanted in formulas.items():
        value, logits = loss_of(recipe)(model, x, adversarial, y)
        torch.testing.assert_close(value, wanted, rtol=1e-4, atol=0)
        assert torch.equal(logits, perturbed)
        gradients = [torch.autograd.grad(one, layer.weight, retain_graph=True)[0] for one in (value, wanted)]
        torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)  # TRADES has one through the clean images too


def test_trades_without_a_perturbation_is_the_clean_cross_entropy(
    model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    x, _, y = batch
    model.eval()
    value, _ = loss_of(Trades(beta=6.0))(model, x, x, y)
    assert torch.allclose(value, cross_entropy(model(x), y))


def test_trades_is_attacked_through_the_clean_predictions(
    model: nn.Module, batch: tuple[Tensor, Tensor, Tensor]
) -> None:
    x, _, y = batch
    target = loss_of(Trades()).target(model, x, y)
    assert torch.allclose(target.sum(1), torch.ones(12))
    assert torch.allclose(target, model.eval()(x).softmax(1))
    assert loss_of(Mixed()).target(model, x, y) is y
