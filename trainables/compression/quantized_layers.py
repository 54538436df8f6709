"""Holds the modules of quantized layers: those that train, and those that the deployed file is made of.

In training, `WeightQuantizer` and `ActivationQuantizer` round floating-point values to a grid that they fit first, and
that then follows weights and activations. For the deployed file, quantized weights and inputs are expressed in
operators that ONNX has:

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

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainables.errors import InvalidInput

SHARES = torch.linspace(0.05, 1.0, 20)  # shares of the largest value that are tried as the end of the range
FOLLOWS = 0.1  # share of the way to a batch's range by which a range of activations moves in each training pass
BYTE = 8  # bits up to which runtimes have integer kernels
FUSIBLE = 8  # least sum of the bits of weights and input for which they are used: W2A2 lost 3.4% of the labels by them
NOTED_BITS = "noted_bits"  # name of the buffer in which a quantizer keeps its bits, where they follow from no rule
Bound = TypeVar("Bound", int, Tensor)
ZERO = 128  # the byte that stands for a weight of 0


class WeightQuantizer(nn.Module):
    """Parametrization that rounds weights to a grid of signed b-bit integers, with one scale per output channel.

    The end of a channel's range is a share of its largest weight, so that the scale follows the weights in training;
    the share is fitted once, to the least squared error. The scale of a channel of zeros is tiny, but not zero.
    """

    share: Tensor

    def __init__(self, weight: Tensor, bits: int, *, groups: int = 0, fit: bool = True) -> None:
        """Fits the shares.

        Args:
            weight: weights (out, …), or (in, out / groups, …) of a transposed convolution.
            bits: number of bits of the integers.
            groups: number of groups of a transposed convolution; 0: another layer.
            fit: False: the shares stay 1, since fitted ones are loaded afterwards.

        Raises:
            InvalidInput: a weight is not finite, or too large for its squared error to be.
        """
        super().__init__()
        self.bits, self.low, self.high, self.groups = bits, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, groups
        rows = swap_channels(weight.detach(), groups)
        flat, best = rows.flatten(1), torch.full((len(rows),), torch.inf, device=weight.device)
        self.register_buffer("share", torch.ones(len(rows), device=weight.device))
        for share in SHARES.tolist() if fit else ():
            error = (self._round(rows, torch.full_like(best, share)).flatten(1) - flat).square().sum(1)
            self.share = torch.where(error < best, share, self.share)
            best = torch.minimum(error, best)
        if fit and not best.isfinite().all():
            raise InvalidInput(f"no scale fits its weights: {not_finite(rows)}")

    def forward(self, weight: Tensor) -> Tensor:
        return swap_channels(self._round(swap_channels(weight, self.groups), self.share), self.groups)

    def integers(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the rounded weights as int32 integers (out, …), and the value of one integer step (out,)."""
        rows = swap_channels(weight, self.groups)
        scale = self._scale(rows, self.share)
        steps = self._round(rows, self.share) / scale.reshape(-1, *[1] * (rows.dim() - 1))
        return steps.round().to(torch.int32), scale

    def _scale(self, rows: Tensor, share: Tensor) -> Tensor:
        largest = rows.detach().flatten(1).abs().amax(1).clamp(min=1e-8)
        scale: Tensor = share * largest / self.high
        return scale.float()  # PyTorch takes no other scales for weights in float64

    def _round(self, rows: Tensor, share: Tensor) -> Tensor:
        scale = self._scale(rows, share)
        if torch.compiler.is_exporting():
            return _by_plain_operators(rows, _by_channel(scale, rows), self.low, self.high)
        zero = torch.zeros(len(rows), dtype=torch.int32, device=rows.device)
        return torch.fake_quantize_per_channel_affine(rows, scale, zero, 0, self.low, self.high)


class ActivationQuantizer(nn.Module):
    """Module that rounds a tensor to a grid of unsigned b-bit integers; its range contains 0.

    The range is fitted to a sample, and in train mode moves towards that of each batch (arXiv 1712.05877, section 3.1).
    Training outgrows a range that stays: a pruned network's activations become several times as large, one's from
    scratch a hundred times, no gradient passes what is cut off, and the network ends at half of its accuracy or at
    chance. Attacks run in eval mode, in which the range stays.
    """

    scale: Tensor
    zero_point: Tensor

    def __init__(self, sample: Tensor, bits: int) -> None:
        """Fits the range.

        Args:
            sample: values that it will round; if all are zero, the scale is tiny, but not zero.
            bits: number of bits of the integers.

        Raises:
            InvalidInput: a value is not finite, or too large for its squared error to be.
        """
        super().__init__()
        self.bits, self.high = bits, 2**bits - 1
        self.register_buffer("scale", torch.ones((), device=sample.device))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32, device=sample.device))
        best = torch.inf
        for share in SHARES.tolist():
            ends = share * sample.min().clamp(max=0), share * sample.max().clamp(min=0)
            scale = ((ends[1] - ends[0]) / self.high).clamp(min=1e-8).float()  # as it is saved, whatever the sample is
            zero = (-ends[0] / scale).round().to(torch.int32)
            error = float((self._round(sample, scale, zero) - sample).square().sum())
            if error < best:
                best, self.scale, self.zero_point = error, scale, zero
        if best == torch.inf:
            raise InvalidInput(f"no range fits its input: {not_finite(sample)}")

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel():
            self._follow(x.detach())
        return self._round(x, self.scale, self.zero_point)

    @torch.no_grad()
    def _follow(self, x: Tensor) -> None:
        """Moves the range towards that of a batch; an end that is not finite stays."""
        ends = torch.stack([x.min().clamp(max=0), x.max().clamp(min=0)]).float()
        now = torch.stack([-self.zero_point * self.scale, (self.high - self.zero_point) * self.scale])
        low, high = now + FOLLOWS * torch.where(ends.isfinite(), ends - now, 0.0)
        self.scale = ((high - low) / self.high).clamp(min=1e-8)
        self.zero_point = (-low / self.scale).round().to(torch.int32)

    def _round(self, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            return _by_plain_operators(x, scale, -zero_point, self.high - zero_point)
        return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, self.high)


def _by_plain_operators(x: Tensor, scale: Tensor, low: Bound, high: Bound) -> Tensor:
    """Rounds as fake quantization does, bit for bit, and with its straight-through gradient.

    torch.export follows no operator of fake quantization for any number of images (torch 2.14.1 knows none's shapes).

    Args:
        x: the values.
        scale: value of one step, of a shape that broadcasts with them.
        low, high: the least and the largest number of steps; beyond them no gradient passes.
    """
    steps = x * (1 / scale)
    steps = steps + (steps.round() - steps).detach()
    return torch.where((steps >= low) & (steps <= high), steps, steps.detach().clamp(low, high)) * scale


class _Dequantize(torch.autograd.Function):
    """Function that computes (stored - zero) × scale by output channel; in ONNX it is DequantizeLinear on axis 0."""

    @staticmethod
    def forward(ctx: Any, stored: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return _by_channel(scale, stored) * (stored.float() - _by_channel(zero, stored))

    @staticmethod
    def symbolic(g: Any, stored: Any, scale: Any, zero: Any) -> Any:
        shape = stored.type()  # the exporter needs it to write what transposed convolutions do with the result
        return g.op("DequantizeLinear", stored, scale, zero, axis_i=0).setType(shape.with_dtype(torch.float32))


class StoredBytes(nn.Module):
    """Parametrization that returns quantized weights from stored bytes, whatever it is called with."""

    stored: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, integers: Tensor, scale: Tensor, *, groups: int = 0, dtype: torch.dtype = torch.float32) -> None:
        """Stores the weights.

        Args:
            integers: the weights as integers (out, …) of at most 8 bits, output channels first.
            scale: value of one integer step (out,).
            groups: number of groups of a transposed convolution, whose weights are returned as (in, out / groups, …);
                0: another layer, whose weights are returned as they are stored.
            dtype: data type of the weights that are returned.
        """
        super().__init__()
        self.groups, self.dtype = groups, dtype
        self.register_buffer("stored", (integers + ZERO).to(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.full_like(scale, ZERO, dtype=torch.uint8))

    def forward(self, *_: Tensor) -> Tensor:
        weight: Tensor = _Dequantize.apply(self.stored, self.scale, self.zero)
        weight = swap_channels(weight, self.groups)
        return weight if weight.dtype == self.dtype else weight.to(self.dtype)


class StoredFloats(nn.Module):
    """Parametrization that returns stored floating-point weights, whatever it is called with."""

    stored: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("stored", weight)

    def forward(self, *_: Tensor) -> Tensor:
        return self.stored


def store_weight(layer: nn.Module, name: str) -> None:
    """Replaces the quantizer of a weight by the stored values of that weight."""
    parts: Any = layer.parametrizations
    steps = parts[name]
    *before, quantizer = steps
    if not isinstance(quantizer, WeightQuantizer):
        return
    originals = [steps.original] if steps.is_tensor else [getattr(steps, f"original{i}") for i in range(steps.ntensors)]
    weight = originals[0]
    for one in before:
        weight = one(*originals)
        originals = [weight]
    if quantizer.bits <= BYTE:
        integers, scale = quantizer.integers(weight)
        steps[len(before)] = StoredBytes(integers, scale, groups=quantizer.groups, dtype=weight.dtype)
    else:
        steps[len(before)] = StoredFloats(quantizer(weight))


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


def swap_channels(weight: Tensor, groups: int) -> Tensor:
    """Turns the weights of a transposed convolution, (in, out / groups, …), into (out, in / groups, …), or back.

    Args:
        weight: the weights of a layer.
        groups: number of the transposed convolution's groups; 0: another layer, whose weights are returned unchanged.
    """
    if groups < 2:
        return weight.transpose(0, 1) if groups else weight
    return weight.reshape(groups, -1, *weight.shape[1:]).transpose(1, 2).flatten(0, 1)


def fusible(weight_bits: int, input_bits: int) -> bool:
    """Returns whether a runtime's integer kernels compute a layer with these bits accurately enough."""
    return max(weight_bits, input_bits) <= BYTE and weight_bits + input_bits >= FUSIBLE


def _by_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Reshapes values (out,) to (out, 1, …), so that they broadcast with a weight (out, …)."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))


def not_finite(values: Tensor) -> str:
    """Says in words why a range does not fit these values."""
    wrong = int((~values.isfinite()).sum())
    if wrong:
        return f"{wrong} of {values.numel()} values are NaN or infinite"
    return f"values of up to {float(values.abs().max()):.3g} are too large"
