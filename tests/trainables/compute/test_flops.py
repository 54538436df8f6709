"""Counts of whole networks: on shapes alone, whatever a network does, and never zero in silence."""

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.nn.utils.parametrizations import spectral_norm
from torch.nn.utils.parametrize import register_parametrization

from tests.support.checkout import ROOT
from trainables.compute.counter import FlopCounter
from trainables.compute.flops import (
    PassCost,
    UncountedOperator,
    forward_by_layer,
    forward_flops,
    measure,
    uncounted_shares,
)
from trainables.compute.operators import RULES
from trainables.compute.uncounted import LEFT_OUT
from trainables.models.build import build
from trainables.models.config import Network

X = torch.rand(1, 1, 8, 8)
CONV, HEAD = 2 * 64 * 9 * 4, 2 * 256 * 10  # FLOPs of the two layers of `Small`


class Small(nn.Module):
    """A convolution 1 → 4 on 8×8 pixels, then 256 → 10."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(256, 10)

    def features(self, x: Tensor) -> Tensor:
        return relu(self.conv(x)).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.features(x))
        return out


class AsksForValues(Small):
    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        out: Tensor = self.head(features * 2 if float(features.detach().sum()) > 0 else features)
        return out + float(x.detach().mean())


class UsesNumPy(Small):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + torch.from_numpy(x.detach().mean((1, 2, 3)).numpy())[:, None]


class HoldsTensors(Small):
    """Keeps tensors that are neither parameters nor buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.shift, self.scales = torch.rand(1, 1, 8, 8), [{"one": torch.rand(10)}]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + self.shift) * self.scales[0]["one"] + torch.arange(10)


class Auxiliary(Small):
    """Has a second head that runs in training mode alone."""

    def __init__(self) -> None:
        super().__init__()
        self.second = nn.Linear(256, 10)

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        out: Tensor = self.head(features)
        return out + self.second(features) if self.training else out


class Draws(Small):
    """Leaves a layer out by chance, from the generators of Python and of PyTorch."""

    def forward(self, x: Tensor) -> Tensor:
        noise = torch.rand(()) + random.random()
        return super().forward(x) * float(noise)


@pytest.mark.parametrize("kind", [Small, AsksForValues, UsesNumPy, HoldsTensors, Draws])
def test_a_network_is_counted_whether_or_not_it_runs_without_values(kind: type[Small]) -> None:
    cost = measure(kind(), X)
    assert (cost.forward, cost.input_gradient) == (CONV + HEAD, 2 * (CONV + HEAD))
    assert (cost.full, cost.full_with_input) == (2 * CONV + 3 * HEAD, 3 * (CONV + HEAD))


def test_what_runs_in_training_alone_is_charged_to_updates_alone() -> None:
    cost = measure(Auxiliary(), X)
    assert (cost.forward, cost.input_gradient) == (CONV + HEAD, 2 * (CONV + HEAD))
    assert (cost.full, cost.full_with_input) == (2 * CONV + 6 * HEAD, 3 * CONV + 6 * HEAD)


def test_a_frozen_layer_needs_no_gradient_of_its_weights() -> None:
    model = Small()
    model.conv.requires_grad_(False)
    assert measure(model, X).full == CONV + 2 * HEAD  # nor one of its output
    model.head.requires_grad_(False)
    assert measure(model, X).full == CONV + HEAD
    model.conv.requires_grad_(True)
    assert measure(model, X).full == 2 * CONV + 2 * HEAD


class LowRank(nn.Module):
    """Adds a product of two factors, (10, 3) and (3, 256), to a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.outer, self.inner = nn.Parameter(torch.rand(10, 3)), nn.Parameter(torch.rand(3, 256))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.outer @ self.inner


def test_what_a_pass_does_once_is_shared_by_the_images_of_a_batch() -> None:
    """A merged low-rank weight: a product forward, and one for each of its factors backward."""
    model, product = Small(), 2 * 10 * 3 * 256
    register_parametrization(model.head, "weight", LowRank())
    plain, cost = measure(Small(), X), measure(model, X)
    assert cost.once == PassCost(product, product, 3 * product, 3 * product)
    assert cost == replace(plain, once=cost.once) == measure(model, X.repeat(5, 1, 1, 1))
    assert cost.in_batches_of(8) == PassCost(
        plain.forward + product / 8,
        plain.input_gradient + product / 8,
        plain.full + 3 * product / 8,
        plain.full_with_input + 3 * product / 8,
    )
    assert forward_flops(model, X) == plain.forward
    assert forward_flops(model, X, batch=8) == plain.forward + product / 8
    assert forward_flops(model, X, batch=1) == plain.forward + product
    by_layer = forward_by_layer(model, X, ["conv", "head"])
    assert sum(by_layer["head"].values()) == HEAD


def test_spectral_normalization_is_charged_to_passes_with_the_iterations_of_training() -> None:
    """Its norm is a product with the weight and one of vectors; two more products with the weight come in training."""
    model = Small()
    spectral_norm(model.head)
    once = measure(model, X).once
    norm, iterations = 2 * 256 * 10 + 2 * 10, 2 * 2 * 256 * 10
    assert once == PassCost(norm, norm, norm + iterations, norm + iterations)


def test_images_that_are_compared_with_each_other_are_counted_as_those_of_one() -> None:
    class Compares(Small):
        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = super().forward(x)
            return scores + (scores @ scores.T).sum()

    cost = measure(Compares(), X)
    assert (cost.forward, cost.once) == (CONV + HEAD + 2 * 10, None)


@pytest.mark.parametrize("kind", [Small, AsksForValues, Draws])
def test_counting_leaves_the_network_and_all_random_states_as_they_were(kind: type[Small]) -> None:
    model = kind()
    model.head.requires_grad_(False)
    model.conv.eval()
    before = torch.get_rng_state(), random.getstate()
    measure(model, X)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert (model.training, model.conv.training, model.head.training) == (True, False, True)
    assert [parameter.requires_grad for parameter in model.parameters()] == [True, True, False, False]
    assert all(parameter.grad is None and not parameter.is_meta for parameter in model.parameters())


def test_several_images_are_counted_as_one() -> None:
    assert measure(Small(), X.repeat(5, 1, 1, 1)) == measure(Small(), X)
    assert forward_by_layer(Small(), X.repeat(5, 1, 1, 1), ["head"])["head"] == {"aten::addmm": HEAD}


def test_flops_are_known_by_layer_and_operator() -> None:
    counts = forward_by_layer(nn.Sequential(Small(), nn.Linear(10, 3)), X, ["0", "0.head"])
    assert counts == {
        "0": {"aten::convolution": CONV},
        "0.head": {"aten::addmm": HEAD},
        "": {"aten::addmm": 60},
    }


@pytest.fixture
def library() -> Iterator[str]:
    """An operator of the user's own, which no rule is known of: a matrix product that PyTorch cannot look into."""
    operators: Any = cast(Any, torch.library).Library("tempertest", "DEF")
    operators.define("product(Tensor a, Tensor b) -> Tensor")
    operators.impl("product", torch.mm, "CPU")
    operators.impl("product", lambda a, b: a.new_empty(len(a), b.shape[1]), "Meta")
    yield "tempertest::product"
    operators._destroy()


class Own(Small):
    def __init__(self) -> None:
        super().__init__()
        self.mixing = nn.Buffer(torch.eye(256))

    def forward(self, x: Tensor) -> Tensor:
        features = self.features(x)
        product: Tensor = torch.ops.tempertest.product(features.detach(), self.mixing)
        out: Tensor = self.head(features + product)
        return out


def test_an_operator_without_a_rule_is_an_error_with_its_name_unless_it_is_allowed(library: str) -> None:
    with pytest.raises(UncountedOperator, match=rf"model: runs {library}, whose FLOPs are unknown"):
        measure(Own(), X)
    assert measure(Own(), X, [library]) == measure(Small(), X)
    shares = uncounted_shares(Own(), X)
    assert shares.keys() == {library}
    assert 0.1 < shares[library] < 0.5  # 256 of the numbers; the convolution and its activation give 256 each too
    assert uncounted_shares(Small(), X) == {}


def test_a_decomposition_has_no_rule() -> None:
    class Orthogonal(Small):
        def forward(self, x: Tensor) -> Tensor:
            turned: Tensor = super().forward(x) @ torch.linalg.qr(torch.eye(10))[0]
            return turned

    with pytest.raises(UncountedOperator, match="aten::linalg_qr"):
        measure(Orthogonal(), X)


@pytest.mark.parametrize(
    "name", ["small", "resnet18", "torchvision:mobilenet_v3_small", "torchvision:shufflenet_v2_x0_5"]
)
def test_counts_on_the_cpu_and_on_shapes_are_the_same(name: str) -> None:
    model, x = build(Network(name=name), (3, 32, 32)).eval(), torch.rand(1, 3, 32, 32)
    with torch.no_grad(), FlopCounter() as counter:
        model(x)
    assert counter.flops == forward_flops(model, x) > 0
    assert not counter.uncounted


def test_what_is_left_out_is_listed_in_the_documents_and_has_no_rule() -> None:
    rows = re.findall(r"^\| ([a-z ]+) \|", (ROOT / "docs" / "counting.md").read_text(), flags=re.MULTILINE)
    assert rows[1:] == list(LEFT_OUT)
    for pattern in LEFT_OUT.values():
        assert [name for name in RULES if re.fullmatch(pattern, name.partition("::")[2])] == []


def test_a_hook_that_raises_before_a_layer_runs_is_told_as_it_is_and_leaves_the_count_in_order() -> None:
    """PyTorch would warn of a second error, since hooks that always run follow the one that raised."""

    def refuse(layer: nn.Module, given: object) -> None:
        raise ValueError("not these inputs")

    model = Small()
    refusal = model.conv.register_forward_pre_hook(refuse)
    with FlopCounter() as counter, counter.within({"conv": model.conv, "head": model.head}):
        with pytest.raises(ValueError, match="not these inputs"):
            model(X)
        refusal.remove()
        model(X)
    assert {name: sum(own.values()) for name, own in counter.by_layer.items()} == {"conv": CONV, "head": HEAD}
