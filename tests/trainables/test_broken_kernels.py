"""Around a kernel that writes beyond its memory: the same numbers, and on an affected processor the process lives."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn

from tests.support.checkout import ROOT
from trainables import broken_kernels
from trainables.broken_kernels import SubsampledConv2d, go_around
from trainables.models.build import build
from trainables.models.config import Network

STRIDED = """
import torch
from trainables.broken_kernels import go_around
torch.manual_seed(0)
layer = go_around(torch.nn.Conv2d({channels}, 16, 1, stride=2, bias=False)).to(memory_format=torch.channels_last)
for _ in range(60):
    x = torch.rand(12, {channels}, 12, 12, requires_grad=True)
    layer(x.contiguous(memory_format=torch.channels_last)).square().sum().backward()
    others = [torch.rand(37 * size + 1) for size in range(40)]
print("lives")
"""


def gradients(layer: nn.Conv2d, x: Tensor) -> tuple[Tensor, ...]:
    leaf = x.clone().requires_grad_(True)
    found = layer(leaf)
    return (found, *torch.autograd.grad(found.square().sum(), [leaf, *layer.parameters()]))


@pytest.mark.parametrize(("groups", "bias", "stride"), [(1, True, 2), (1, False, (2, 3)), (3, True, 3)])
def test_it_gives_the_same(
    groups: int, bias: bool, stride: int | tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broken_kernels, "is_affected", lambda: True)
    torch.manual_seed(0)
    layer = nn.Conv2d(6, 12, 1, stride=stride, bias=bias, groups=groups).double()
    x = torch.rand(5, 6, 11, 13).double()
    expected = gradients(layer, x)
    assert type(go_around(layer)) is SubsampledConv2d
    for found, wanted in zip(gradients(layer, x), expected, strict=True):
        assert torch.allclose(found, wanted, atol=1e-12)
    with torch.no_grad():
        assert torch.allclose(layer(x), expected[0], atol=1e-12)


def test_only_strided_layers_of_one_pixel_are_changed_and_only_on_such_processors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def changed(affected: bool) -> list[nn.Module]:
        monkeypatch.setattr(broken_kernels, "is_affected", lambda: affected)
        model = build(Network(name="wide_resnet", depth=10, width=1), (3, 12, 12))
        return [layer for layer in model.modules() if isinstance(layer, SubsampledConv2d)]

    assert changed(False) == []
    strided = changed(True)
    assert strided
    assert all(layer.kernel_size == (1, 1) and layer.stride == (2, 2) for layer in map(_conv, strided))
    monkeypatch.setattr(broken_kernels, "is_affected", lambda: True)
    for layer in (nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(3, 4, 1, stride=2, padding=1)):
        assert type(go_around(layer)) is nn.Conv2d


def _conv(layer: nn.Module) -> nn.Conv2d:
    assert isinstance(layer, nn.Conv2d)
    return layer


@pytest.mark.parametrize("channels", [3, 7])
def test_the_process_lives(channels: int) -> None:
    """On other processors, it does without."""
    command = [sys.executable, "-c", STRIDED.format(channels=channels)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stdout) == (0, "lives\n"), done.stderr
