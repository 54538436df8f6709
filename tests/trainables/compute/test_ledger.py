"""The ledger against counts by hand, layer by layer."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from trainables.attacks.attack import Attack
from trainables.attacks.config import FGSM, NFGSM, PGD, NoPerturbation, Norm, Perturbation, PublishedPGD
from trainables.attacks.registry import attack_of
from trainables.compression.config import ChannelPruning, Quantization
from trainables.compute.flops import PassCost, measure
from trainables.compute.ledger import Compute, Ledger
from trainables.data.config import Data
from trainables.data.splits import Examples, Splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import Pipeline
from trainables.execution.standalone import run
from trainables.losses.config import Mixed, Trades
from trainables.losses.losses import CrossEntropyLoss, TrainingLoss, loss_of
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Augmentation, FreeLoop, Schedule
from trainables.training.epoch import Trainer, train_epoch
from trainables.training.optimization import optimizer_of

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


def an_epoch(model: nn.Module, x: Tensor, loss: TrainingLoss, attack: Attack) -> Ledger:
    """The ledger after one epoch over these images."""
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
    train_epoch(trainer, x, torch.arange(len(x)) % 10, loss, lambda step: attack, first_step=0, batch_size=8)
    return trainer.ledger


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
    ledger = an_epoch(model, torch.rand(20, 1, 8, 8), CrossEntropyLoss(), attack_of(perturbation))
    convolution, linear = 2 * 64 * 9 * 4, 2 * 256 * 10  # FLOPs of one forward pass
    input_gradient = 2 * (convolution + linear)
    update = 2 * convolution + 3 * linear  # the first layer has no input gradient
    assert ledger.attack == 20 * passes * input_gradient
    assert ledger.update == 20 * update


@dataclass(frozen=True)
class NoiseAlone:
    """An attack of the user's that asks the network nothing, and notes what it was to make unlikely."""

    seen: list[Tensor]
    passes: int = 0
    norm: Norm = "linf"
    bound: float = 0.1
    sound: bool = True

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        self.seen.append(target)
        return x


def test_an_attack_that_makes_no_pass_has_the_losss_target_whose_pass_is_charged() -> None:
    model, attack = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), NoiseAlone([])
    ledger = an_epoch(model, torch.rand(4, 1, 8, 8), loss_of(Trades()), attack)
    assert [one.shape for one in attack.seen] == [(4, 10)]
    assert ledger.attack == 4 * 2 * 64 * 10


NETWORKS = {
    "small": (8, [64 * 9 * 32, 64 * 9 * 32**2, 16 * 9 * 32 * 64, 16 * 9 * 64**2, 256 * 64, 640]),
    "eight_layer": (28, EIGHT_LAYERS),
}


def charged(network: str, **parts: Any) -> tuple[Ledger, PassCost]:
    """The ledger after one epoch over 20 images, and the network's passes by hand."""
    side, macs = NETWORKS[network]
    schedule = {"epochs": 1, "learning_rate": 0.01, "batch_size": 8}
    recipe = Recipe.model_validate({"data": DATA, "model": {"name": network}, "schedule": schedule} | parts)
    pipeline = Pipeline(recipe, ScoringProtocol(epsilon=0.1, steps=1), random_splits(side), None, torch.device("cpu"))
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


def test_the_published_attack_pays_for_the_parameter_gradients_that_it_computes() -> None:
    ledger, cost = charged("small", perturbation=PublishedPGD(epsilon=0.1, steps=4))
    assert (ledger.attack, ledger.update) == (20 * 4 * cost.full_with_input, 20 * cost.full)


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


EPOCH = Schedule(epochs=1, learning_rate=0.01, batch_size=8)
ORDINARY = Recipe(data=DATA, model=Network(name="small"), schedule=EPOCH)


def tuned(base: Recipe | None, perturbation: Perturbation, **parts: Any) -> Recipe:
    return ORDINARY.model_copy(update={"base": base, "perturbation": perturbation, **parts})


# Three ways to be robust: from scratch, from the ordinary base, and from the one from scratch.
SCRATCH, ROBUST = tuned(None, PGD(epsilon=0.1, steps=7)), tuned(ORDINARY, PGD(epsilon=0.1, steps=3))
ONE, OTHER = tuned(SCRATCH, PGD(epsilon=0.1, steps=2)), tuned(SCRATCH, PGD(epsilon=0.1, steps=5))
PUPIL = tuned(ORDINARY, NFGSM(epsilon=0.1), distillation=Distillation())
LINEAGES: dict[str, tuple[Recipe | None, Recipe | None, int, list[int]]] = {
    # base, teacher (None: the base), epochs of ordinary pretraining, steps of each robust ancestor's attack
    "the base is the teacher": (ORDINARY, None, 1, []),
    "a robust base is the teacher": (ROBUST, None, 1, [3]),
    "a teacher from scratch": (ORDINARY, SCRATCH, 1, [7]),
    "an ordinary teacher of a student from scratch": (None, ORDINARY, 1, []),
    "base and teacher from the same ordinary base": (ORDINARY, ROBUST, 1, [3]),
    "the teacher is what the base started from": (ROBUST, ORDINARY, 1, [3]),
    "base and teacher share a robust ancestor": (ONE, OTHER, 0, [7, 2, 5]),
    "base and teacher are ancestor and descendant": (SCRATCH, ONE, 0, [7, 2]),
}


@pytest.mark.parametrize("case", LINEAGES)
def test_base_and_teacher_are_charged_and_nothing_twice(case: str) -> None:
    base, teacher, ordinary, ancestors = LINEAGES[case]
    cost = by_hand(NETWORKS["small"][1])
    student = tuned(base, NFGSM(epsilon=0.1), distillation=Distillation(teacher=teacher))
    ledger = run(student, ScoringProtocol(epsilon=0.1, steps=1), random_splits(8), torch.device("cpu")).ledger
    inherited = sum(20 * (steps * cost.input_gradient + cost.full) for steps in ancestors)
    own = 20 * (cost.input_gradient + cost.full)
    assert ledger.base == ordinary * 20 * cost.full
    assert ledger.ancestors == inherited
    assert ledger.distillation == 20 * cost.forward
    assert ledger.marginal == inherited + own + 20 * cost.forward
    assert ledger.end_to_end == ledger.marginal + ledger.base


def test_a_teacher_that_is_distilled_and_pruned_costs_what_it_took_and_a_forward_of_what_is_left() -> None:
    teacher = tuned(ORDINARY, NFGSM(epsilon=0.1), compression=ChannelPruning(pruning_ratio=0.5, scope="uniform"))
    teacher = teacher.model_copy(update={"distillation": Distillation()})
    student = PUPIL.model_copy(update={"distillation": Distillation(teacher=teacher)})
    evaluation, splits = ScoringProtocol(epsilon=0.1, steps=1), random_splits(8)
    done = [run(recipe, evaluation, splits, torch.device("cpu")).ledger for recipe in (teacher, student)]
    halves = [64 * 9 * 16, 64 * 9 * 16**2, 16 * 9 * 16 * 32, 16 * 9 * 32**2, 128 * 32, 320]
    dense, pruned = by_hand(NETWORKS["small"][1]), by_hand(halves)
    assert done[0].distillation == 20 * dense.forward
    assert done[0].marginal == dense.forward + 20 * (dense.forward + pruned.input_gradient + pruned.full)
    assert done[1].distillation == 20 * pruned.forward
    assert done[1].ancestors == done[0].marginal
    assert done[0].base == done[1].base == 20 * dense.full


def test_a_distilled_recipe_is_no_ordinary_pretraining() -> None:
    copy = PUPIL.model_copy(update={"perturbation": NoPerturbation()})
    assert not copy.is_ordinary_pretraining
    ledger = run(copy, ScoringProtocol(epsilon=0.1, steps=1), random_splits(8), torch.device("cpu")).ledger
    cost = by_hand(NETWORKS["small"][1])
    assert (ledger.base, ledger.update, ledger.attack) == (20 * cost.full, 20 * cost.full, 0)
    assert ledger.marginal == 20 * (cost.full + cost.forward)


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
