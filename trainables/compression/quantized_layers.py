"""Expresses quantized weights and inputs in operators that ONNX has, for the deployed file.

Weights of at most 8 bits are stored in a byte each, and DequantizeLinear turns them into floats that are bit for bit
those that PyTorch trained with. The byte is unsigned, 128 above the integer: for signed bytes onnxruntime 1.32 uses
kernels that add pairs of products in 16 bits on x86 processors without VNNI, and these saturate (a trained W8A8 network
then labelled 2% of digits differently). The rounding of activations becomes QuantizeLinear and DequantizeLinear on
uint8, which runtimes fuse with such weights into integer kernels; below 8 bits a Clip before them cuts to the part of
uint8 that is used.

Runtimes have no such kernels for 16 bits, or where only weights or only inputs are quantized; and where both have few
bits, the kernels round biases too coarsely. In these cases the rounding of activations is written as Div, Round, Clip
and Mul, which runtimes do not fuse. 16-bit weights are stored as the floats that they stand for.
"""

from typing import Any

import torch
from torch import Tensor, nn

BYTE = 8  # bits up to which runtimes have integer kernels
FUSIBLE = 8  # least sum of the bits of weights and input for which they are used: W2A2 lost 3.4% of the labels by them
ZERO = 128  # the byte that stands for a weight of 0


class _Dequantize(torch.autograd.Function):
    """Function that computes (stored - zero) × scale by output channel; in ONNX it is DequantizeLinear on axis 0."""

    @staticmethod
    def forward(ctx: Any, stored: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return _by_channel(scale, stored) * (stored.float() - _by_channel(zero, stored))

    @staticmethod
    def symbolic(g: Any, stored: Any, scale: Any, zero: Any) -> Any:
        return g.op("DequantizeLinear", stored, scale, zero, axis_i=0)


class StoredBytes(nn.Module):
    """Parametrization that returns quantized weights (out, …) from stored bytes, whatever it is called with."""

    stored: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, integers: Tensor, scale: Tensor) -> None:
        """Stores the weights.

        Args:
            integers: the weights as integers (out, …) of at most 8 bits.
            scale: value of one integer step (out,).
        """
        super().__init__()
        self.register_buffer("stored", (integers + ZERO).to(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.full_like(scale, ZERO, dtype=torch.uint8))

    def forward(self, _: Tensor) -> Tensor:
        weight: Tensor = _Dequantize.apply(self.stored, self.scale, self.zero)
        return weight


class StoredFloats(nn.Module):
    """Parametrization that returns stored floating-point weights, whatever it is called with."""

    stored: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("stored", weight)

    def forward(self, _: Tensor) -> Tensor:
        return self.stored


class RoundedInput(nn.Module):
    """Module that rounds a layer's input to a grid of unsigned integers."""

    def __init__(self, scale: float, zero_point: int, *, bits: int, fusible: bool) -> None:
        """Describes the grid.

        Args:
            scale: value of one integer step.
            zero_point: the integer that stands for 0.
            bits: number of bits of the integers.
            fusible: whether a runtime may compute the layer in integers.
        """
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
    """Returns whether a runtime's integer kernels compute a layer with these bits accurately enough."""
    return max(weight_bits, input_bits) <= BYTE and weight_bits + input_bits >= FUSIBLE


def _by_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Reshapes values (out,) to (out, 1, …), so that they broadcast with a weight (out, …)."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))
