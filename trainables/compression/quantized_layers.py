"""Quantized weights and inputs in operators that ONNX has, for the deployed file.

Weights of at most 8 bits are stored in a byte each and become floats by DequantizeLinear, bit for bit the floats that
PyTorch trained with. The byte is unsigned, 128 above the integer: signed ones send onnxruntime 1.32 to kernels that add
pairs of products in 16 bits on x86 processors without VNNI, and these saturate (a trained W8A8 network then labelled 2%
of digits differently). The rounding of activations becomes QuantizeLinear and DequantizeLinear on uint8, which runtimes
fuse with such weights into integer kernels; below 8 bits a Clip before them cuts to the part of uint8 in use.

There are no such kernels for 16 bits, or for one side alone; and where both sides have few bits, they round biases to
too coarse a step. Then the rounding of activations is written as Div, Round, Clip and Mul, lest a runtime fuse it.
16-bit weights are stored as the floats that they stand for.
"""

from typing import Any

import torch
from torch import Tensor, nn

BYTE = 8  # bits up to which runtimes have integer kernels
FUSIBLE = 8  # bits of weights and input together from which they are used: W2A2 lost 3.4% of the labels by them
ZERO = 128  # what a stored weight of 0 is


class _Dequantize(torch.autograd.Function):
    """(stored - zero) × scale, by output channel: in ONNX a DequantizeLinear along the first axis."""

    @staticmethod
    def forward(ctx: Any, stored: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return _by_channel(scale, stored) * (stored.float() - _by_channel(zero, stored))

    @staticmethod
    def symbolic(g: Any, stored: Any, scale: Any, zero: Any) -> Any:
        return g.op("DequantizeLinear", stored, scale, zero, axis_i=0)


class StoredBytes(nn.Module):
    """A parametrization that gives quantized weights (out, …) out of stored bytes, whatever it is called with."""

    stored: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, integers: Tensor, scale: Tensor) -> None:
        """Args: the weights as integers (out, …) of at most 8 bits, and what one of them is worth (out,)."""
        super().__init__()
        self.register_buffer("stored", (integers + ZERO).to(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.full_like(scale, ZERO, dtype=torch.uint8))

    def forward(self, _: Tensor) -> Tensor:
        weight: Tensor = _Dequantize.apply(self.stored, self.scale, self.zero)
        return weight


class StoredFloats(nn.Module):
    """A parametrization that gives these weights, whatever it is called with."""

    stored: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("stored", weight)

    def forward(self, _: Tensor) -> Tensor:
        return self.stored


class RoundedInput(nn.Module):
    """A layer's input on the grid of unsigned integers of some bits."""

    def __init__(self, scale: float, zero_point: int, *, bits: int, fusible: bool) -> None:
        """Args: of the grid; and whether a runtime may compute the layer in integers."""
        super().__init__()
        self.scale, self.zero_point, self.bits, self.fusible = scale, zero_point, bits, fusible

    def forward(self, x: Tensor) -> Tensor:
        low, high = -self.zero_point, 2**self.bits - 1 - self.zero_point
        if not self.fusible:
            return (x / self.scale).round().clamp(low, high) * self.scale
        if self.bits < BYTE:
            x = x.clamp(low * self.scale, high * self.scale)
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, 0, 2**BYTE - 1)


def fusible(weight_bits: int, input_bits: int) -> bool:
    """Whether a runtime's integer kernels compute a layer of such bits well enough."""
    return max(weight_bits, input_bits) <= BYTE and weight_bits + input_bits >= FUSIBLE


def _by_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Values (out,) as (out, 1, …), to go with a weight (out, …)."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))
