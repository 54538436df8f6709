"""Rates, averages, augmentation and the free loop against what they are by definition."""

import math

import pytest
import torch
from torch import nn

from trainables.attacks.config import FGSM
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.recipe.schedule import Augmentation, Schedule
from trainables.training.epoch import Trainer, augment, free_epoch
from trainables.training.optimization import average_of, learning_rate, one_cycle, optimizer_of


@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")
@pytest.mark.parametrize("total", [3, 10, 101])
def test_one_cycle_equals_torch(total: int) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.3, total_steps=total, cycle_momentum=False)
    for step in range(total):
        assert one_cycle(step, total, 0.3) == pytest.approx(optimizer.param_groups[0]["lr"])
        if step < total - 1:
            scheduler.step()


def test_other_shapes() -> None:
    def rates(shape: str) -> list[float]:
        schedule = Schedule.model_validate({"epochs": 1, "learning_rate": 0.2, "shape": shape})
        return [learning_rate(schedule, step, 8) for step in range(8)]

    assert rates("constant") == [0.2] * 8
    assert rates("step") == pytest.approx([0.2] * 4 + [0.02] * 2 + [0.002] * 2)
    assert rates("cosine")[0] == pytest.approx(0.2)
    assert rates("cosine")[4] == pytest.approx(0.1)
    assert rates("one_cycle") == [one_cycle(step, 8, 0.2) for step in range(8)]


def test_two_steps_of_sgd_are_nesterovs_by_hand() -> None:
    value, velocity = 1.0, 0.0
    for slope in (1.0, -3.0):
        direction = slope + 0.2 * value
        velocity = 0.7 * velocity + direction
        value -= 0.1 * (direction + 0.7 * velocity)
    assert after_two_steps("sgd") == pytest.approx(value)


def test_two_steps_of_adamw_are_by_hand() -> None:
    """By arXiv 1711.05101, algorithm 2: the decay is no part of the gradient. The momentum is the first beta."""
    value, mean, square = 1.0, 0.0, 0.0
    for step, slope in enumerate((1.0, -3.0), 1):
        mean, square = 0.7 * mean + 0.3 * slope, 0.999 * square + 0.001 * slope**2
        value -= 0.1 * 0.2 * value
        value -= 0.1 * (mean / (1 - 0.7**step)) / (square / (1 - 0.999**step)) ** 0.5
    assert after_two_steps("adamw") == pytest.approx(value)


def after_two_steps(optimizer: str) -> float:
    """The weight of a layer that was 1, after gradients of 1 and -3."""
    layer = nn.Linear(1, 1, bias=False)
    layer.weight.data.fill_(1.0)
    settings = {"epochs": 1, "learning_rate": 0.1, "momentum": 0.7, "weight_decay": 0.2, "optimizer": optimizer}
    made = optimizer_of(layer, Schedule.model_validate(settings))
    for slope in (1.0, -3.0):
        layer.weight.grad = torch.full((1, 1), slope)
        made.step()
    return layer.weight.item()


def test_the_average_follows_weights_and_buffers() -> None:
    layer, norm = nn.Conv2d(1, 2, 1, bias=False), nn.BatchNorm2d(2)
    model = nn.Sequential(layer, norm)
    average = average_of(model, Schedule(epochs=1, learning_rate=0.1, averaging=0.75))
    assert average is not None
    expected = torch.zeros(())
    for step, value in enumerate([1.0, 2.0, 4.0]):
        nn.init.constant_(layer.weight, value)
        norm.state_dict()["running_mean"].fill_(value)
        average.update_parameters(model)
        expected = torch.tensor(value) if step == 0 else 0.75 * expected + 0.25 * value
    state = average.module.state_dict()
    assert torch.allclose(state["0.weight"], expected.expand(2, 1, 1, 1))
    assert torch.allclose(state["1.running_mean"], expected.expand(2))
    assert average_of(model, Schedule(epochs=1, learning_rate=0.1)) is None


@pytest.mark.parametrize("decay", [0.9, 0.95, 0.99, 0.9995])
def test_whole_numbers_are_not_averaged(decay: float) -> None:
    """An average that is computed in float32 and cut off loses one of 46 in 256 whole numbers at .95."""
    model = nn.Module()
    model.register_buffer("zero_points", torch.arange(256, dtype=torch.int32))
    average = average_of(model, Schedule(epochs=1, learning_rate=0.1, averaging=decay))
    assert average is not None
    for _ in range(5):
        average.update_parameters(model)
    assert torch.equal(average.module.state_dict()["zero_points"], torch.arange(256, dtype=torch.int32))


def test_a_crop_moves_and_a_flip_mirrors_each_image_by_its_own_draw() -> None:
    images = torch.arange(1.0, 10).reshape(1, 1, 3, 3).expand(400, 2, 3, 3).contiguous()
    assert augment(images, Augmentation(), torch.Generator()) is images
    padded = nn.functional.pad(images[0], (1, 1, 1, 1))
    possible = {tuple(padded[:, r : r + 3, c : c + 3].flatten().tolist()) for r in range(3) for c in range(3)}
    cropped = augment(images, Augmentation(crop_padding=1), torch.Generator().manual_seed(0))
    assert {tuple(image.flatten().tolist()) for image in cropped} == possible
    flipped = augment(images, Augmentation(flip=True), torch.Generator().manual_seed(0))
    mirrored = [bool((image == images[0].flip(2)).all()) for image in flipped]
    assert all(flip or bool((image == images[0]).all()) for flip, image in zip(mirrored, flipped, strict=True))
    assert 150 < sum(mirrored) < 250


def test_an_update_takes_all_parts_of_a_batch_together_and_none_where_one_is_no_number() -> None:
    weight, updates = nn.Parameter(torch.ones(1)), list[int]()
    trainer = Trainer(
        model=nn.Module(),
        optimizer=torch.optim.SGD([weight], lr=9.0),
        rate=lambda step: 0.5 / step,
        after_step=lambda: updates.append(1),
        augmentation=Augmentation(),
        generator=torch.Generator(),
        cost=PassCost(1, 1, 1, 1),
        ledger=Ledger(),
    )
    for slopes in ((math.nan, 1.0), (1.0, math.inf)):
        assert trainer.update(1, ((slope * weight.sum(), 0.5) for slope in slopes)) == (0.5, False)
    assert (weight.item(), updates) == (1.0, [])
    assert trainer.update(2, ((slope * weight.sum(), share) for slope, share in ((4.0, 0.75), (8.0, 0.25)))) == (
        0.25,
        True,
    )
    assert (weight.item(), updates) == (1 - 0.25 * 5, [1])  # of the gradients before nothing is left


@pytest.mark.parametrize("pixel", [0.5, 0.05])  # the second would leave [0, 1]
def test_free_training_moves_weights_and_perturbation_by_one_gradient(pixel: float) -> None:
    # One pixel, two classes, logits (w·x, 0): replays of one batch, followed by hand.
    layer = nn.Linear(1, 2, bias=False)
    model = nn.Sequential(nn.Flatten(), layer).eval()
    layer.weight.data = torch.tensor([[2.0], [0.0]])
    seen: list[float] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(float(inputs[0].detach())))
    ledger = Ledger()
    trainer = Trainer(
        model=model,
        optimizer=optimizer_of(model, Schedule(epochs=1, learning_rate=0.5, momentum=0.0, weight_decay=0.0)),
        rate=lambda step: 0.5,
        after_step=lambda: None,
        augmentation=Augmentation(),
        generator=torch.Generator().manual_seed(0),
        cost=PassCost(1, 10, 100, 1000, once=PassCost(1, 1, 1, 7)),
        ledger=ledger,
    )
    x, y = torch.full((1, 1, 1, 1), pixel), torch.zeros(1, dtype=torch.long)
    w = torch.tensor([2.0, 0.0])
    shift, inputs = 0.0, []
    for _ in range(3):
        inputs.append(max(0.0, pixel + shift))
        p = (w * inputs[-1]).softmax(0)
        error = p - torch.tensor([1.0, 0.0])
        slope = float((error * w).sum())
        w = w - 0.5 * error * inputs[-1]
        shift = max(-0.1, min(0.1, shift + 0.1 * (1 if slope > 0 else -1)))
    result = free_epoch(trainer, x, y, FGSM(epsilon=0.1), first_step=0, batch_size=1, replays=3)
    assert seen == pytest.approx(inputs)
    assert torch.allclose(layer.weight.detach().flatten(), w)
    assert model.training
    assert ledger.update == 3021  # what a pass computes once is charged to the one image of its batch
    assert result.accuracy == 1.0
