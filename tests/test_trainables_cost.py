"""The ledger against counts by hand, layer by layer."""

from typing import Any

import pytest
import torch
from torch import nn

from trainables.attacks import attack_of
from trainables.cost import Compute, Ledger, PassCost, measure
from trainables.data import Examples, Splits
from trainables.losses import CrossEntropyLoss
from trainables.models import build
from trainables.optimization import optimizer_of
from trainables.pipeline import Pipeline
from trainables.recipe import ChannelPruning, Data, Evaluation, Network, Quantization, Recipe
from trainables.regime import (
    FGSM,
    NFGSM,
    PGD,
    Augmentation,
    FreeLoop,
    Mixed,
    NoPerturbation,
    Perturbation,
    Schedule,
    Trades,
)
from trainables.training import Trainer, train_epoch

DATA = Data(name="digits", validation_size=10)
# Multiply-accumulates of each layer of the eight-layer network on a 28×28 image: pixels × 9 × in × out, then in × out.
EIGHT_LAYERS = [
    784 * 9 * 1 * 32,
    784 * 9 * 32 * 32,
    196 * 9 * 32 * 64,
    196 * 9 * 64 * 64,
    49 * 9 * 64 * 128,
    49 * 9 * 128 * 128,
    (3 * 3 * 128) * 256,
    256 * 10,
]


def by_hand(macs: list[int]) -> PassCost:
    """2 FLOPs a MAC; a backward pass to the input costs each layer once more, to the weights once more again."""
    forward = 2 * sum(macs)
    return PassCost(forward, 2 * forward, 3 * forward - 2 * macs[0], 3 * forward)


def test_two_layers_equal_a_hand_count() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))
    assert measure(model, torch.rand(1, 1, 8, 8)) == by_hand([64 * 9 * 4, 4 * 64 * 10])


@pytest.mark.parametrize("normalization", [True, False])
def test_eight_layers_equal_a_hand_count(normalization: bool) -> None:
    model = build(Network(name="eight_layer", normalization=normalization), (1, 28, 28))
    assert measure(model, torch.rand(1, 1, 28, 28)) == by_hand(EIGHT_LAYERS)


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = build(Network(name="small"), (1, 8, 8)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    measure(model, torch.rand(1, 1, 8, 8))
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in model.parameters())
    assert all(module.training for module in model.modules())


PERTURBATIONS: list[tuple[Perturbation, int]] = [
    (NoPerturbation(), 0),
    (FGSM(epsilon=0.1), 1),
    (NFGSM(epsilon=0.1), 1),
    (PGD(epsilon=0.1, steps=1), 1),
    (PGD(epsilon=0.1, steps=7), 7),
    (PGD(epsilon=0.5, steps=3, norm="l2"), 3),
]


@pytest.mark.parametrize(("perturbation", "passes"), PERTURBATIONS)
def test_an_epoch_of_two_layers_is_charged_by_the_hand_count(perturbation: Perturbation, passes: int) -> None:
    """Convolution 1 → 4 on 8×8 pixels, then 256 → 10, by hand."""
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 64, 10))
    x, y = torch.rand(20, 1, 8, 8), torch.arange(20).remainder(10)
    trainer = Trainer(
        model=model,
        optimizer=optimizer_of(model, Schedule(epochs=1, learning_rate=0.01)),
        rate=lambda step: 0.01,
        after_step=lambda: None,
        augmentation=Augmentation(),
        generator=torch.Generator().manual_seed(0),
        cost=measure(model, x[:1]),
        ledger=Ledger(),
    )
    train_epoch(trainer, x, y, CrossEntropyLoss(), lambda step: attack_of(perturbation), first_step=0, batch_size=8)
    convolution, linear = 2 * 64 * 9 * 4, 2 * 256 * 10  # FLOPs of one forward pass
    input_gradient = 2 * (convolution + linear)
    update = 2 * convolution + 3 * linear  # the first layer has no input gradient
    assert trainer.ledger.attack == 20 * passes * input_gradient
    assert trainer.ledger.update == 20 * update


NETWORKS = {
    "small": (8, [64 * 9 * 32, 64 * 9 * 32**2, 16 * 9 * 32 * 64, 16 * 9 * 64**2, 256 * 64, 640]),
    "eight_layer": (28, EIGHT_LAYERS),
}


def charged(network: str, **parts: Any) -> tuple[Ledger, PassCost]:
    """The ledger after one epoch over 20 images, and the network's passes by hand."""
    side, macs = NETWORKS[network]
    schedule = {"epochs": 1, "learning_rate": 0.01, "batch_size": 8}
    recipe = Recipe.model_validate({"data": DATA, "model": {"name": network}, "schedule": schedule} | parts)
    pipeline = Pipeline(recipe, Evaluation(epsilon=0.1, steps=1), random_splits(side), None, torch.device("cpu"))
    pipeline.step()
    return pipeline.ledger, by_hand(macs)


@pytest.mark.parametrize(("perturbation", "passes"), PERTURBATIONS)
@pytest.mark.parametrize("network", NETWORKS)
def test_an_epoch_is_charged_by_the_hand_count(perturbation: Perturbation, passes: int, network: str) -> None:
    ledger, cost = charged(network, perturbation=perturbation)
    assert attack_of(perturbation).passes == passes
    assert ledger.attack == 20 * passes * cost.input_gradient
    ordinary = isinstance(perturbation, NoPerturbation)
    assert (ledger.base if ordinary else ledger.update) == 20 * cost.full
    assert ledger.marginal == (0 if ordinary else 20 * (passes * cost.input_gradient + cost.full))


def test_two_images_an_example_cost_two_full_passes_and_trades_its_target_a_forward() -> None:
    pgd = PGD(epsilon=0.1, steps=3)
    mixed, cost = charged("small", perturbation=pgd, loss=Mixed())
    assert (mixed.attack, mixed.update) == (20 * 3 * cost.input_gradient, 20 * 2 * cost.full)
    trades, cost = charged("small", perturbation=pgd, loss=Trades())
    assert (trades.attack, trades.update) == (20 * (3 * cost.input_gradient + cost.forward), 20 * 2 * cost.full)


def test_compression_is_charged_for_every_pass_that_it_takes() -> None:
    attack = NFGSM(epsilon=0.1)
    ledger, cost = charged("small", perturbation=attack, compression=ChannelPruning(pruning_ratio=0.5))
    assert ledger.compression == cost.forward  # torch-pruning follows one image through the network
    taylor = ChannelPruning(pruning_ratio=0.5, importance="taylor", taylor_examples=12)
    ledger, cost = charged("small", perturbation=attack, compression=taylor)
    assert ledger.compression == cost.forward + 12 * cost.full
    quantization = Quantization(weight_bits=4, activation_bits=4, calibration_examples=7)
    ledger, cost = charged("small", perturbation=attack, quantization=quantization)
    assert ledger.compression == 7 * cost.forward


def test_a_free_replay_costs_one_full_pass_with_the_first_layers_input_gradient() -> None:
    ledger, cost = charged("small", perturbation=FGSM(epsilon=0.1), loop=FreeLoop(replays=3))
    assert (ledger.attack, ledger.update) == (0, 20 * 3 * cost.full_with_input)


def test_ancestors_are_charged_unless_ordinary() -> None:
    ledger = Ledger(update=5, attack=2)
    lineage = {"ordinary": Compute(100, 0), "robust": Compute(0, 30)}
    ledger.inherit(lineage)
    assert (ledger.marginal, ledger.end_to_end) == (37, 137)
    assert ledger.own(lineage) == Compute(0, 7)
    assert Ledger.from_dict(ledger.as_dict()) == ledger


def random_splits(side: int) -> Splits:
    generator = torch.Generator().manual_seed(0)

    def examples(count: int) -> Examples:
        images = torch.rand(count, 1, side, side, generator=generator).numpy()
        return Examples(images, torch.arange(count).remainder(10).numpy())

    return Splits(examples(20), examples(10))
