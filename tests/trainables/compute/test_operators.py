"""The FLOPs of every kind of layer against counts by hand, on the CPU and on shapes alone."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torchvision.ops import DeformConv2d

from trainables.compute.counter import FlopCounter, plain_kernels

N = 2  # images in a batch


def counts(module: nn.Module, x: Tensor, device: str) -> tuple[float, float, float]:
    """MACs of forward, of the backward pass to the input alone, and of that to the parameters alone."""
    module, x = copy.deepcopy(module).to(device), x.to(device)
    totals = []
    for inputs, parameters in ((False, False), (True, False), (False, True)):
        module.requires_grad_(parameters)
        leaf = x.detach().requires_grad_(inputs)
        with plain_kernels(), FlopCounter() as counter, torch.set_grad_enabled(inputs or parameters):
            out = module(leaf)
            out = out[0] if isinstance(out, tuple) else out
            if out.requires_grad:
                torch.autograd.backward(out.sum())
        assert not counter.uncounted
        totals.append(counter.flops / 2)
    forward, to_input, to_parameters = totals
    return forward, to_input - forward, to_parameters - forward


# A layer, its input, and its MACs by hand: forward. A product's gradient with respect to each factor costs the same.
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "linear": (lambda: nn.Linear(5, 7), (N, 5), N * 5 * 7),
    "linear of tokens": (lambda: nn.Linear(5, 7, bias=False), (N, 3, 5), N * 3 * 5 * 7),
    "1d": (lambda: nn.Conv1d(4, 6, 3), (N, 4, 10), N * 8 * 6 * 4 * 3),
    "2d": (lambda: nn.Conv2d(4, 6, 3, padding=1), (N, 4, 8, 8), N * 64 * 6 * 4 * 9),
    "2d with stride": (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1), (N, 4, 8, 8), N * 16 * 6 * 4 * 9),
    "2d dilated": (lambda: nn.Conv2d(4, 6, 3, dilation=2, bias=False), (N, 4, 8, 8), N * 16 * 6 * 4 * 9),
    "3d": (lambda: nn.Conv3d(2, 3, (1, 3, 3)), (N, 2, 4, 5, 5), N * 4 * 3 * 3 * 3 * 2 * 9),
    "grouped": (lambda: nn.Conv2d(8, 8, 3, padding=1, groups=4), (N, 8, 8, 8), N * 64 * 8 * 2 * 9),
    "depthwise": (lambda: nn.Conv2d(32, 32, 3, padding=1, groups=32), (N, 32, 8, 8), N * 64 * 32 * 9),
    "depthwise with a multiplier": (lambda: nn.Conv2d(4, 8, 3, groups=4), (N, 4, 8, 8), N * 36 * 8 * 9),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (N, 4, 5, 5), N * 25 * 4 * 6 * 9),
    "transposed, 1d, grouped": (lambda: nn.ConvTranspose1d(4, 6, 3, groups=2), (N, 4, 5), N * 5 * 4 * 3 * 3),
    "transposed, 3d": (lambda: nn.ConvTranspose3d(2, 3, 2), (N, 2, 3, 3, 3), N * 27 * 2 * 3 * 8),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_costs_its_products_once_more_for_each_gradient(name: str, device: str) -> None:
    make, shape, macs = LAYERS[name]
    assert counts(make(), torch.rand(shape), device) == (macs, macs, macs)


class Heads(nn.Module):
    """Attention written by hand: queries, keys and values are the input; there are no weights."""

    def __init__(self, heads: int, *, fused: bool) -> None:
        super().__init__()
        self.heads, self.fused = heads, fused

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        parts = x.view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
        if self.fused:
            return scaled_dot_product_attention(parts, parts, parts)
        scores = (parts @ parts.transpose(2, 3) / math.sqrt(width / self.heads)).softmax(-1)
        return scores @ parts


T, D, H, F = 5, 8, 2, 12  # tokens, width, heads, hidden width
PROJECTED, ATTENDED = N * T * 4 * D * D, N * 2 * T * T * D  # MACs of the four projections, of the two products


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("fused", [True, False])
def test_attention_costs_two_products_and_four_in_its_backward_pass(fused: bool, device: str) -> None:
    assert counts(Heads(H, fused=fused), torch.rand(N, T, D), device)[:2] == (ATTENDED, 2 * ATTENDED)


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("training", [True, False])
def test_an_encoder_layer_costs_projections_attention_and_its_hidden_layer(training: bool, device: str) -> None:
    layer = nn.TransformerEncoderLayer(D, H, F, batch_first=True, dropout=0.0).train(training)
    weighted = PROJECTED + N * T * 2 * D * F
    # The gradient of the weights needs that of all activations but the layer's input, which only the first
    # projection multiplies.
    to_parameters = 2 * weighted - N * T * 3 * D * D + 2 * ATTENDED
    expected = (weighted + ATTENDED, weighted + 2 * ATTENDED, to_parameters)
    assert counts(layer, torch.rand(N, T, D), device) == expected


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3), (nn.RNN, 1)])
def test_a_recurrent_layer_costs_its_gates_in_every_step(
    kind: Callable[..., nn.Module], gates: int, device: str
) -> None:
    layer = kind(D, F, batch_first=True, bidirectional=True)
    inputs, hidden = N * T * D * gates * F, N * F * gates * F  # MACs of all steps, of one step; of one direction
    forward = 2 * (inputs + T * hidden)
    # The state before the first step needs no gradient.
    expected = (forward, 2 * (inputs + (T - 1) * hidden), 2 * (inputs + (2 * T - 1) * hidden))
    assert counts(layer, torch.rand(N, T, D), device) == expected


class Bilinear(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Bilinear(3, 3, 4)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x, x)
        return out


class Deformed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = DeformConv2d(4, 6, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x, torch.zeros(len(x), 18, 6, 6, device=x.device))
        return out


class Spectrum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        back: Tensor = torch.fft.ifft(torch.fft.fft(x)).real
        return back


class Distances(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        apart: Tensor = torch.cdist(x, x + 1, p=1.0)
        return apart


class Centres(nn.Module):
    """Distances from rows of four numbers to centres that are learned, as a layer of radial basis functions has."""

    def __init__(self, centres: int, power: float) -> None:
        super().__init__()
        self.centres, self.power = nn.Parameter(torch.rand(centres, 4)), power

    def forward(self, x: Tensor) -> Tensor:
        apart: Tensor = torch.cdist(x, self.centres, p=self.power)
        return apart


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("shape", [(N, 4), (N, 3, 4), (30, 4)])
@pytest.mark.parametrize("centres", [25, 26])
def test_distances_cost_the_same_by_whichever_kernel(centres: int, shape: tuple[int, ...], device: str) -> None:
    macs = math.prod(shape) * centres
    assert counts(Centres(centres, 1.0), torch.rand(shape), device) == (macs, macs, macs)
    # Of more than 25 rows the kernel takes a product, whose backward pass always computes both gradients.
    gradients = 2 * macs if max(centres, *shape[:-1]) > 25 else macs
    assert counts(Centres(centres, 2.0), torch.rand(shape), device) == (macs, gradients, gradients)


class Sums(nn.Module):
    """Products that are written in other ways than as layers: of vectors, summed over a batch, by subscripts."""

    def forward(self, x: Tensor) -> Tensor:
        vector = x[0, 0]
        by_subscripts = torch.einsum("bij,bkj->bik", x, x).sum()
        total: Tensor = torch.addbmm(x.new_zeros(()), x, x.mT).sum() + vector @ vector + by_subscripts
        return total


class ComplexProducts(nn.Module):
    """The same of complex numbers, each of whose products is four real ones."""

    def forward(self, x: Tensor) -> Tensor:
        return Sums()(torch.complex(x, x)).abs()  # type: ignore[no-any-return]


OTHERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], float]] = {
    "bilinear": (Bilinear, (N, 3), N * 3 * 3 * 4),
    "deformable": (Deformed, (N, 4, 8, 8), N * 36 * 6 * 4 * 9),
    "fast transforms": (Spectrum, (N, 8), (0.5 + 1) * N * 5 * 8 * 3 / 2),  # of real, then of complex numbers
    "distances": (Distances, (N, 3, 4), N * 3 * 3 * 4),
    "products of tensors": (Sums, (N, 3, 4), 2 * N * 3 * 3 * 4 + 4),
    "products of complex tensors": (ComplexProducts, (N, 3, 4), 4 * (2 * N * 3 * 3 * 4 + 4)),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("name", OTHERS)
def test_other_products_are_counted(name: str, device: str) -> None:
    make, shape, macs = OTHERS[name]
    module, x = make().to(device), torch.rand(shape, device=device)
    with torch.no_grad(), FlopCounter() as counter:
        module(x)
    assert counter.flops / 2 == macs
    assert not counter.uncounted


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN, nn.TransformerEncoderLayer, nn.MultiheadAttention])
def test_fused_kernels_of_the_cpu_cost_what_their_products_cost(kind: type[nn.Module]) -> None:
    if issubclass(kind, nn.TransformerEncoderLayer):
        layer: nn.Module = nn.TransformerEncoderLayer(D, H, F, batch_first=True)
    elif issubclass(kind, nn.MultiheadAttention):
        layer = nn.MultiheadAttention(D, H, batch_first=True)
    else:
        layer = kind(D, F, num_layers=2, batch_first=True, bidirectional=True)
    layer.eval()
    x = torch.rand(N, T, D)
    given = (x, x, x) if isinstance(layer, nn.MultiheadAttention) else (x,)
    with torch.inference_mode():
        with FlopCounter() as fused:
            layer(*given)
        with plain_kernels(), FlopCounter() as plain:
            layer(*given)
    assert not fused.uncounted
    assert fused.by_layer.keys() == plain.by_layer.keys()
    assert fused.flops == plain.flops > 0
