"""Each attack beside a second implementation in numpy: one image at a time, with gradients derived by hand.

The networks are ordinary, confident (logits × 300) and saturated; computed in float64, float32 and bfloat16.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from trainables.attacks.adver_fine import AdverFineAttack
from trainables.attacks.attack import Attack, perturb, unit
from trainables.attacks.fgsm import FgsmAttack, NFgsmAttack
from trainables.attacks.gradients import GradientCounter
from trainables.attacks.pgd import PgdAttack
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.evaluation.score import Score, evaluate
from trainables.training.precision import MixedPrecision

Array = NDArray[np.float64]
IMAGES, PIXELS, HIDDEN, CLASSES, EPSILON = 12, 9, 7, 4, 0.1
W = torch.tensor([2.0, -1.0, 0.5, -3.0])


@dataclass(frozen=True)
class Perceptron:
    """scale × V tanh(gain × U x), with a gradient by hand."""

    u: Array
    v: Array
    gain: float
    scale: float

    def torch(self) -> nn.Module:
        first, last = nn.Linear(PIXELS, HIDDEN, bias=False), nn.Linear(HIDDEN, CLASSES, bias=False)
        first.weight.data, last.weight.data = torch.tensor(self.gain * self.u), torch.tensor(self.scale * self.v)
        return nn.Sequential(nn.Flatten(), first, nn.Tanh(), last)

    def gradient(self, x: Array, label: int, *, rounded: bool = False) -> Array:
        """Of the cross-entropy of one image (pixels,), from differences of logits; `rounded`: from p - 1 instead."""
        inner = self.gain * (self.u @ x)
        logits = self.scale * (self.v @ np.tanh(inner))
        pull = np.zeros(PIXELS)
        slope = self.gain / np.cosh(inner) ** 2
        total = 0.0
        for other in range(CLASSES):
            if other != label:
                probability = 1 / sum(math.exp(min(700.0, one - logits[other])) for one in logits)
                pull += probability * self.scale * (self.v[other] * slope) @ self.u
                total += probability
        missing = 1 - (1 - total) if rounded else total
        whole: Array = pull - missing * self.scale * (self.v[label] * slope) @ self.u
        return whole


def perceptron(gain: float, scale: float) -> Perceptron:
    draw = np.random.default_rng(3)
    return Perceptron(draw.normal(size=(HIDDEN, PIXELS)), draw.normal(size=(CLASSES, HIDDEN)), gain, scale)


def in_box(x: Array) -> Array:
    return np.minimum(1.0, np.maximum(0.0, x))


def pgd_linf(network: Perceptron, x: Array, label: int, noise: Array) -> Array:
    moved = in_box(x + noise)
    for _ in range(5):
        climbed = moved + 2.5 * EPSILON / 5 * np.sign(network.gradient(moved, label))
        moved = in_box(x + np.minimum(EPSILON, np.maximum(-EPSILON, climbed - x)))
    return moved


def pgd_l2(network: Perceptron, x: Array, label: int, noise: Array) -> Array:
    moved = in_box(x + noise)
    for _ in range(5):
        gradient = network.gradient(moved, label)
        climbed = moved + 2.5 * EPSILON / 5 * gradient / math.hypot(*gradient)  # hypot scales by itself
        away = climbed - x
        length = math.hypot(*away)
        moved = in_box(x + (away if length <= EPSILON else away * EPSILON / length))
    return moved


def fgsm(network: Perceptron, x: Array, label: int, noise: Array) -> Array:
    start = in_box(x + noise)
    away = start + 1.25 * EPSILON * np.sign(network.gradient(start, label)) - x
    return in_box(x + np.minimum(EPSILON, np.maximum(-EPSILON, away)))


def n_fgsm(network: Perceptron, x: Array, label: int, noise: Array) -> Array:
    start = in_box(x + noise)
    return in_box(start + EPSILON * np.sign(network.gradient(start, label)))


def published(network: Perceptron, x: Array, label: int, noise: Array) -> Array:
    away = np.zeros(PIXELS)
    for _ in range(5):
        away = away + 2 * EPSILON / 5 * np.sign(network.gradient(x + away, label, rounded=True))
        away = np.minimum(EPSILON, np.maximum(-EPSILON, away))
    return x + away


def in_cube(radius: float) -> Callable[[Tensor, Generator], Array]:
    def draw(x: Tensor, generator: Generator) -> Array:
        noise: Array = torch.empty_like(x).uniform_(-radius, radius, generator=generator).numpy()
        return noise

    return draw


def in_ball(x: Tensor, generator: Generator) -> Array:
    directions = torch.empty_like(x).normal_(generator=generator).flatten(1).numpy()
    shares = torch.rand(len(x), 1, 1, 1, generator=generator).flatten().numpy().astype(np.float64)
    lengths = np.array([math.hypot(*one) for one in directions])
    inside: Array = directions * (EPSILON * shares ** (1 / PIXELS) / lengths)[:, None]
    return inside.reshape(x.shape)


Second = tuple[Attack, Callable[[Perceptron, Array, int, Array], Array], Callable[[Tensor, Generator], Array]]
ATTACKS: dict[str, Second] = {
    "pgd": (PgdAttack(epsilon=EPSILON, steps=5), pgd_linf, in_cube(EPSILON)),
    "pgd in l2": (PgdAttack(epsilon=EPSILON, steps=5, norm="l2"), pgd_l2, in_ball),
    "fgsm": (FgsmAttack(epsilon=EPSILON), fgsm, in_cube(EPSILON)),
    "n_fgsm": (NFgsmAttack(epsilon=EPSILON), n_fgsm, in_cube(2 * EPSILON)),
    "as published": (AdverFineAttack(epsilon=EPSILON, steps=5), published, in_cube(0.0)),
}
NETWORKS = {"ordinary": (1.0, 1.0), "confident": (0.3, 300.0), "saturated": (4.0, 1.0)}


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("name", ATTACKS)
def test_every_attack_gives_what_a_second_implementation_gives(name: str, kind: str) -> None:
    attack, second, draw = ATTACKS[name]
    network = perceptron(*NETWORKS[kind])
    x = torch.rand(IMAGES, 1, 3, 3, generator=Generator().manual_seed(1), dtype=torch.float64)
    with torch.no_grad():
        labels = network.torch()(x).argmax(1)  # what it is sure of, so that gradients are short
    noise = draw(x, Generator().manual_seed(2))
    found = perturb(attack, network.torch(), x, labels, Generator().manual_seed(2))
    expected = [
        second(network, one.numpy().ravel(), int(label), start.ravel())
        for one, label, start in zip(x, labels, noise, strict=True)
    ]
    assert np.allclose(found.flatten(1).numpy(), np.array(expected), rtol=0, atol=1e-4 if name == "pgd in l2" else 1e-9)
    assert float((found - x).abs().max()) > EPSILON / 5


def linear(scale: float, *, precise: bool = True) -> nn.Module:
    """Two classes whose logits differ by scale × w·x. The second one's is 0: all of the gradient is the first one's."""
    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data = scale * torch.stack([W, 0 * W])
    network = nn.Sequential(nn.Flatten(), layer)
    return network if precise else MixedPrecision(network)


def scored(network: nn.Module, margins: Tensor, attack: Attack, dtype: torch.dtype = torch.float32) -> Score:
    """The score on images whose w·x is as given."""
    x = torch.full((len(margins), 1, 2, 2), 0.5, dtype=dtype)  # w·x = -0.75
    x[:, 0, 0, 0] += (margins.to(dtype) + 0.75) / 5
    x[:, 0, 1, 1] -= (margins.to(dtype) + 0.75) / 5
    y = torch.where(margins > 0, 0, 1)
    return evaluate(network.to(dtype), x, y, attack, batch_size=8, cost=PassCost(1, 1, 1, 1), ledger=Ledger())


def attack_and_length(norm: str) -> tuple[PgdAttack, float]:
    """An attack that finds the worst case of a linear network, and how far it lowers w·x at most."""
    if norm == "l2":
        return PgdAttack(epsilon=0.02, steps=40, norm="l2", step_size=0.02), 0.02 * float(W.norm())
    return PgdAttack(epsilon=0.015, steps=20), 0.015 * float(W.abs().sum())


@pytest.mark.parametrize(
    ("dtype", "scale"),
    [
        (torch.float32, 1.0),
        (torch.float32, 300.0),
        (torch.float32, 30_000.0),
        (torch.float64, 1500.0),
        (torch.float64, 1e6),
    ],
)
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_confident_linear_networks_stand_exactly_as_long_as_their_margin(
    dtype: torch.dtype, scale: float, norm: str
) -> None:
    # With logits × 300, gradients are as short as exp(-89) and with × 30,000 they are 0, of the label's part as of the
    # others': p - 1 is 0 from a lead of 17 on. What is left of them is what is restored.
    margins = torch.linspace(0.01, 0.2, 40)
    attack, most = attack_and_length(norm)
    score = scored(linear(scale), margins, attack, dtype)
    assert score.robust.tolist() == (margins > most).tolist()
    assert 0 < score.robust_accuracy < 1
    assert (score.zero_gradients, score.nonfinite_gradients) == (0, 0)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_in_bfloat16_they_stand_so_long_but_for_rounding(norm: str) -> None:
    margins = torch.linspace(0.01, 0.2, 40)
    attack, most = attack_and_length(norm)
    clear = (margins - most).abs() > 0.01  # inside the network, pixels have 8 bits
    score = scored(linear(1.0, precise=False), margins, attack)
    assert score.robust[clear].tolist() == (margins > most)[clear].tolist()
    assert 30 <= int(clear.sum()) < 40
    assert score.zero_gradients == 0


class Inside(nn.Module):
    """The two classes of `linear` × 3000, computed in a data type of its own between images and logits in float32."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.matrix = (3000 * torch.stack([W, 0 * W], 1)).to(dtype)

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).to(self.matrix.dtype) @ self.matrix).float()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_confident_networks_of_other_numbers_stand_so_long_but_for_rounding(norm: str, dtype: torch.dtype) -> None:
    margins = torch.linspace(0.01, 0.2, 40)
    attack, most = attack_and_length(norm)
    clear = (margins - most).abs() > 0.01
    score = scored(Inside(dtype), margins, attack)
    assert score.robust[clear].tolist() == (margins > most)[clear].tolist()
    assert score.zero_gradients == 0


class Saturated(nn.Module):
    """Two classes by tanh(1000 w·x), whose slope is 0 in float32 but where w·x is nearly 0."""

    def forward(self, x: Tensor) -> Tensor:
        one = torch.tanh(1000 * x.flatten(1) @ W)
        return torch.stack([one, -one], 1)


def test_gradients_that_vanish_altogether_are_counted_and_nothing_moves() -> None:
    margins = torch.tensor([0.005, 0.008, 0.5, 0.6, 0.65])
    score = scored(Saturated(), margins, PgdAttack(epsilon=1e-5, steps=4))
    assert (score.gradients, score.zero_gradients) == (5 * 4, 3 * 4)
    assert score.zero_gradient_share == pytest.approx(0.6)
    assert score.robust.all()


class Uneven(nn.Module):
    """Has the gradient of the square root at 0, which is not finite, where the first pixel is 0."""

    def forward(self, x: Tensor) -> Tensor:
        root = x.flatten(1)[:, :1].sqrt()
        rest = x.flatten(1)[:, 1:].sum(1, keepdim=True)
        return torch.cat([1 + root - rest, rest - root], dim=1)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_gradients_that_are_not_finite_are_counted_and_the_attack_goes_on(norm: str) -> None:
    x = torch.tensor([[0.0, 0.1, 0.1, 0.1], [0.04, 0.1, 0.1, 0.1]]).reshape(2, 1, 2, 2)
    counter = GradientCounter()
    attack = PgdAttack(epsilon=0.05, steps=1, norm="l2") if norm == "l2" else PgdAttack(epsilon=0.0, steps=1)
    start = PgdAttack(epsilon=0.0, steps=1)
    perturb(start, Uneven(), x, torch.zeros(2, dtype=torch.long), Generator().manual_seed(0), counter)
    assert (counter.seen, counter.zero, counter.not_finite) == (2, 0, 1)
    moved = perturb(attack, Uneven(), x, torch.zeros(2, dtype=torch.long), Generator().manual_seed(0))
    assert torch.isfinite(moved).all()


def test_training_counts_no_gradients_and_nothing_is_left_behind() -> None:
    network, x = linear(1.0), torch.rand(3, 1, 2, 2)
    perturb(PgdAttack(epsilon=0.1, steps=2), network, x, torch.zeros(3, dtype=torch.long), Generator())
    assert not network._forward_pre_hooks
    empty = GradientCounter()
    empty.add(torch.zeros(0, 1, 2, 2))
    assert (empty.seen, empty.zero, empty.not_finite) == (0, 0, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_direction_has_length_one_however_short_what_it_is_made_from(dtype: torch.dtype) -> None:
    least, most = torch.finfo(dtype).smallest_normal, torch.finfo(dtype).max
    rounding = {torch.float32: 1e-6, torch.float64: 1e-12, torch.bfloat16: 1e-2}[dtype]
    shape = torch.tensor([3.0, -4.0, 0.0, 12.0], dtype=dtype).reshape(1, 1, 2, 2)
    for size in (1.0, 1e-12, 1e-30, least, most / 16):
        direction = unit(shape * size)
        assert torch.allclose(direction, (shape / 13).to(dtype), rtol=0, atol=rounding), size
    assert torch.equal(unit(torch.zeros(2, 1, 2, 2, dtype=dtype)), torch.zeros(2, 1, 2, 2, dtype=dtype))
    denormal = torch.tensor([0.0, 0.0, 1e-45, 0.0]).reshape(1, 1, 2, 2)
    assert unit(denormal).flatten().tolist() == [0, 0, 1, 0]
