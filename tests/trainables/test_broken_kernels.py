"""Around a kernel that writes beyond its memory: the same numbers, and on an affected processor the process lives."""

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.utils.flop_counter import FlopCounterMode

from tests.support.checkout import ROOT
from trainables import broken_kernels
from trainables.broken_kernels import go_around
from trainables.models.build import build
from trainables.models.config import Network

STRIDED = """
import torch
from torch import nn
from torch.nn.functional import conv2d
from trainables.broken_kernels import go_around

class Standardized(nn.Conv2d):
    def forward(self, x):
        return conv2d(x, self.weight - self.weight.mean(1, keepdim=True), self.bias, self.stride)

class Functional(nn.Module):
    def __init__(self, channels, out, size, stride):
        super().__init__()
        self.weight, self.stride = nn.Parameter(torch.rand(out, channels, size, size)), stride

    def forward(self, x):
        return conv2d(x, self.weight, None, self.stride)

go_around()
torch.manual_seed(0)
kind = {{"layer": nn.Conv2d, "subclass": Standardized, "function": Functional}}["{kind}"]
for of_weight, of_input in ((True, False), (False, True), (True, True)):
    layer = kind({channels}, 16, 1, stride=2).to(memory_format=torch.channels_last).requires_grad_(of_weight)
    for _ in range(60):
        x = torch.rand(12, {channels}, 12, 12, requires_grad=of_input)
        layer(x.contiguous(memory_format=torch.channels_last)).square().sum().backward()
        others = [torch.rand(37 * size + 1) for size in range(40)]
print("lives")
"""
REPVGG = """
import torch
from torch.nn.functional import cross_entropy
from trainables.models.build import build
from trainables.models.config import Network

torch.manual_seed(0)
model = build(Network(name="tests.trainables.test_broken_kernels:repvgg"), (3, 32, 32)).train()
x = torch.rand(8, 3, 32, 32).contiguous(memory_format=torch.channels_last)
for _ in range(60):
    cross_entropy(model(x), torch.arange(8)).backward()
print("lives")
"""


class RepVGG(nn.Module):
    """The first block of RepVGG, with a branch of one pixel that passes over every other one, and a classifier."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.wide = nn.Conv2d(3, 16, 3, 2, 1, bias=False)
        self.narrow = nn.Conv2d(3, 16, 1, 2, bias=False)
        self.head = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head((self.wide(x) + self.narrow(x)).relu().mean((2, 3)))
        return scores


def repvgg(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    return RepVGG(classes)


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Replaces the kernel whatever the processor; gives what PyTorch's own is called with, and restores it."""
    calls: list[Any] = []

    class Own:
        def __init__(self, operator: str, key: str) -> None:
            self.kernel = torch.library.get_kernel(operator, key)

        def call_boxed(self, keys: Any, *given: Any) -> Any:
            calls.append(given)
            return self.kernel.call_boxed(keys, *given)

    broken_kernels._replacement.cache_clear()  # the one of this process goes with its last reference
    monkeypatch.setattr(broken_kernels, "get_kernel", Own)
    monkeypatch.setattr(broken_kernels, "is_affected", lambda: True)
    go_around()
    yield calls
    broken_kernels._replacement.cache_clear()


def gradients(x: Tensor, weight: Tensor, **settings: Any) -> tuple[Tensor, ...]:
    x, weight = x.clone().requires_grad_(True), weight.clone().requires_grad_(True)
    first = torch.autograd.grad(conv2d(x, weight, **settings).pow(3).sum(), [x, weight], create_graph=True)
    second = torch.autograd.grad(first[0].square().sum() + first[1].square().sum(), [x, weight])
    alone = [torch.autograd.grad(conv2d(x, weight, **settings).pow(3).sum(), one)[0] for one in (x, weight)]
    return (*first, *second, *alone)


@pytest.mark.parametrize(("groups", "stride"), [(1, 2), (1, (2, 3)), (3, 3), (1, (1, 2))])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_it_gives_the_same(
    groups: int, stride: int | tuple[int, int], layout: torch.memory_format, replaced: list[Any]
) -> None:
    torch.manual_seed(0)
    x, weight = torch.rand(5, 6, 11, 13).double(), torch.rand(12, 6 // groups, 1, 1).double()
    x = x.to(memory_format=layout)
    found = gradients(x, weight, groups=groups, stride=stride)
    assert any(given[1].shape[2:] != x.shape[2:] for given in replaced)
    broken_kernels._replacement.cache_clear()
    replaced.clear()
    expected = gradients(x, weight, groups=groups, stride=stride)
    assert not replaced
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-12)


@pytest.mark.parametrize(
    ("channels", "size", "settings"),
    [
        (8, 1, {"stride": 2}),
        (3, 1, {}),
        (3, 3, {"stride": 2}),
        (3, 1, {"stride": 2, "padding": 1}),
    ],
)
def test_what_the_kernel_computes_well_is_left_to_it(
    channels: int, size: int, settings: dict[str, Any], replaced: list[Any]
) -> None:
    x, weight = torch.rand(2, channels, 8, 8), torch.rand(4, channels, size, size, requires_grad=True)
    torch.autograd.backward(conv2d(x, weight, **settings).sum())
    (given,) = replaced
    assert given[1].shape == x.shape


def test_the_gradient_of_the_input_alone_is_left_to_the_kernel(replaced: list[Any]) -> None:
    x = torch.rand(2, 3, 8, 8, requires_grad=True)
    torch.autograd.backward(conv2d(x, torch.rand(4, 3, 1, 1), stride=2).sum())
    (given,) = replaced
    assert given[1].shape == x.shape


def test_flops_are_those_of_the_operator(replaced: list[Any]) -> None:
    x, weight = torch.rand(2, 3, 8, 8), torch.rand(4, 3, 1, 1, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        torch.autograd.backward(conv2d(x, weight, stride=2).sum())
    assert replaced
    assert counter.get_total_flops() == 2 * (2 * 2 * 4 * 3 * 4 * 4)


def test_the_kernel_is_replaced_only_on_such_processors_and_modules_stay_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    replacements: list[bool] = []
    monkeypatch.setattr(broken_kernels, "_replacement", lambda: replacements.append(True))
    for affected in (False, True):
        monkeypatch.setattr(broken_kernels, "is_affected", lambda affected=affected: affected)
        model = build(Network(name="wide_resnet", depth=10, width=1), (3, 12, 12))
        assert bool(replacements) is affected
        strided = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1)]
        assert strided
        assert all(type(layer) is nn.Conv2d for layer in strided)


@pytest.mark.parametrize(("kind", "channels"), [("layer", 3), ("layer", 7), ("subclass", 3), ("function", 3)])
def test_the_process_lives(kind: str, channels: int) -> None:
    """On other processors, it does without."""
    done = in_a_process(STRIDED.format(kind=kind, channels=channels))
    assert (done.returncode, done.stdout) == (0, "lives\n"), done.stderr


def test_a_process_that_trains_on_images_without_a_gradient_lives() -> None:
    done = in_a_process(REPVGG)
    assert (done.returncode, done.stdout) == (0, "lives\n"), done.stderr


def in_a_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
