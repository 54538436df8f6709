"""Bit operations and bytes of every kind of layer with weights, against counts by hand."""

import pytest
import torch
from torch import Tensor, nn

from trainables.compression.compressor import FLOAT, Compressors
from trainables.compression.config import Quantization
from trainables.compression.size import forward_bitops, stored_bytes
from trainables.compression.weight_layers import left_in_floating_point

X, Y = torch.rand(6, 1, 8, 8), torch.arange(6)
W4A8 = Quantization(weight_bits=4, activation_bits=8)


class Tokens(nn.Module):
    """Eight tokens of width 8: a layer for the rows of an image, attention, and a layer for the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.scores = nn.Linear(8, 8), nn.Linear(8, 10)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.inner(x[:, 0])
        mixed, _ = self.attention(rows, rows, rows, need_weights=False)
        scores: Tensor = self.scores(mixed.mean(1))
        return scores


class Sequence(nn.Module):
    """Convolutions over rows of pixels, of one dimension and transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(8, 6, 3, padding=1, bias=False), nn.ConvTranspose1d(6, 4, 1, bias=False)
        self.scores = nn.Linear(4, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.second(self.first(x[:, 0])).mean(2))
        return scores


def quantized(model: nn.Module) -> tuple[nn.Module, Compressors]:
    torch.manual_seed(0)
    compressors = Compressors([W4A8], seed=0)
    compressors.step(1, model, X, Y)
    return model, compressors


def test_sequences_count_at_their_bits() -> None:
    macs = [8 * 8 * 6 * 3, 8 * 6 * 4, 4 * 10]
    assert forward_bitops(Sequence(), X[:1], Compressors([], seed=0)) == FLOAT**2 * sum(macs)
    model, compressors = quantized(Sequence())
    assert forward_bitops(model, X[:1], compressors) == 64 * macs[0] + 32 * macs[1] + 64 * macs[2]


def test_attention_counts_weights_at_their_bits_and_products_of_activations_in_floating_point() -> None:
    rows, products, projection, scores = 8 * 8 * 8, 2 * 8 * 8 * 8, 8 * 8 * 8, 80
    everything = rows + products + 4 * projection + scores
    assert forward_bitops(Tokens(), X[:1], Compressors([], seed=0)) == FLOAT**2 * everything
    model, compressors = quantized(Tokens())
    # The first and the last layer have 8 bits; the input of the output projection stays in floating point.
    expected = 64 * (rows + scores) + FLOAT**2 * products + 32 * 3 * projection + 4 * FLOAT * projection
    assert forward_bitops(model, X[:1], compressors) == expected


@pytest.mark.parametrize("kind", [Tokens, Sequence])
def test_bytes_are_those_of_weights_at_their_bits_and_of_the_rest(kind: type[nn.Module]) -> None:
    dense = stored_bytes(kind(), Compressors([], seed=0))
    assert dense == 4 * sum(parameter.numel() for parameter in kind().parameters())
    model, compressors = quantized(kind())
    outer = {Tokens: 64 + 80, Sequence: 8 * 6 * 3 + 40}[kind]  # weights of 8 bits
    inner = {Tokens: 4 * 64, Sequence: 24}[kind]  # weights of 4 bits
    ends = (".share", ".scale", ".zero_point")
    ranges = 4 * sum(tensor.numel() for name, tensor in model.state_dict().items() if name.endswith(ends))
    assert stored_bytes(model, compressors) == dense - 3 * outer - 3.5 * inner + ranges


class Shared(nn.Module):
    """One block under three names, and scores by the matrix of the first layer."""

    def __init__(self) -> None:
        super().__init__()
        block = nn.Linear(8, 8)
        self.blocks, self.again = nn.ModuleList([block] * 2), block
        self.scores = nn.Linear(8, 10)
        self.tied = self.scores.weight

    def forward(self, x: Tensor) -> Tensor:
        rows = x[:, 0].mean(1)
        for block in [*self.blocks, self.again]:
            rows = block(rows).relu()
        scores: Tensor = self.scores(rows)
        return scores


def test_what_several_layers_share_is_stored_once() -> None:
    model = Shared()
    floats = 8 * 8 + 8 + 8 * 10 + 10
    assert stored_bytes(model, Compressors((), seed=0)) == 4 * floats
    compressed, compressors = quantized(model)
    weights, biases, ranges = 8 * 8 + 8 * 10, 8 + 10, (8 + 2) + (10 + 2)  # of 8 bits, as first and last layers; 32 bits
    assert stored_bytes(compressed, compressors) == weights + 4 * (biases + ranges)


class Adapted(nn.Linear):
    """A linear layer with a low-rank adapter whose factors are not multiplied out."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__(inputs, outputs)
        self.inner = nn.Parameter(0.1 * torch.rand(inputs, rank))
        self.outer = nn.Parameter(0.1 * torch.rand(rank, outputs))

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + x @ self.inner @ self.outer


def test_an_adapters_own_weights_stay_floats_and_are_named() -> None:
    own = 64 * 2 + 2 * 10
    model, compressors = quantized(nn.Sequential(nn.Flatten(), Adapted(64, 10, 2)))
    assert forward_bitops(model, X[:1], compressors) == pytest.approx(8 * 8 * 640 + FLOAT**2 * own)
    ranges = 4 * (10 + 2)
    assert stored_bytes(model, compressors) == 640 + 4 * (10 + own) + ranges
    reason = "is a weight of Adapted's own, beside those of the layer that it is made from"
    assert left_in_floating_point(model, weights=True, inputs=True) == {"1.inner": reason, "1.outer": reason}


def test_a_layer_by_hand_is_left_and_named() -> None:
    class ByHand(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mixing = nn.Parameter(torch.eye(64))

        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1) @ self.mixing

    model, compressors = quantized(nn.Sequential(ByHand(), nn.Linear(64, 10)))
    assert forward_bitops(model, X[:1], compressors) == 64 * 640 + FLOAT**2 * 64 * 64
    assert list(left_in_floating_point(model, weights=True, inputs=True)) == ["0.mixing"]
