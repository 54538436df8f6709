"""Quantization-aware training: weights and activations rounded to few bits, with straight-through gradients.

The network computes in floating point with values that a b-bit integer network would have (arXiv 1712.05877), so that
training and attacks have gradients. Weights are symmetric and per output channel; activations are affine and per
tensor. The first and the last layer stay at 8 bits or more, as is usual (arXiv 1805.06085, section 4): the pixels
themselves have 8.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainables.compression.compressor import FLOAT, Compressor, layers_of
from trainables.compression.config import Quantization
from trainables.compression.quantized_layers import BYTE, RoundedInput, StoredBytes, StoredFloats, fusible
from trainables.models.build import frozen

OUTER_BITS = 8  # the first and the last layer's, at least
SHARES = torch.linspace(0.05, 1.0, 20)  # of the largest value, tried as the end of the range
SAMPLE = 65_536  # activations a layer that its range is fitted to
_WEIGHT_QUANTIZER = re.compile(r"(.*)\.parametrizations\.weight\.(\d+)\.share")  # in a state_dict


class WeightQuantizer(nn.Module):
    """A parametrization: weights (out, …) to the grid of signed b-bit integers, one scale per output channel.

    The scale follows the weights: it is a share of the channel's largest magnitude, fitted once by squared error.
    """

    share: Tensor

    def __init__(self, weight: Tensor, bits: int) -> None:
        super().__init__()
        self.bits, self.low, self.high = bits, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        flat, best = weight.detach().flatten(1), torch.full((len(weight),), torch.inf, device=weight.device)
        self.register_buffer("share", torch.ones(len(weight), device=weight.device))
        for share in SHARES.tolist():
            error = (self._round(weight.detach(), torch.full_like(best, share)).flatten(1) - flat).square().sum(1)
            self.share = torch.where(error < best, share, self.share)
            best = torch.minimum(error, best)

    def forward(self, weight: Tensor) -> Tensor:
        return self._round(weight, self.share)

    def integers(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """The rounded weights as integers (out, …), in int32, and what one of them is worth (out,)."""
        scale = self._scale(weight, self.share)
        steps: Tensor = self(weight) / scale.reshape(-1, *[1] * (weight.dim() - 1))
        return steps.round().to(torch.int32), scale

    def _scale(self, weight: Tensor, share: Tensor) -> Tensor:
        largest = weight.detach().flatten(1).abs().amax(1).clamp(min=1e-8)
        scale: Tensor = share * largest / self.high
        return scale

    def _round(self, weight: Tensor, share: Tensor) -> Tensor:
        zero = torch.zeros(len(weight), dtype=torch.int32, device=weight.device)
        scale = self._scale(weight, share)
        return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, self.low, self.high)


class ActivationQuantizer(nn.Module):
    """Any tensor to the grid of unsigned b-bit integers over one range, which contains 0 and was fitted once."""

    scale: Tensor
    zero_point: Tensor

    def __init__(self, sample: Tensor, bits: int) -> None:
        super().__init__()
        self.bits, self.high = bits, 2**bits - 1
        self.register_buffer("scale", torch.ones((), device=sample.device))
        self.register_buffer("zero_point", torch.zeros((), dtype=torch.int32, device=sample.device))
        best = torch.inf
        for share in SHARES.tolist():
            ends = share * sample.min().clamp(max=0), share * sample.max().clamp(min=0)
            scale = ((ends[1] - ends[0]) / self.high).clamp(min=1e-8)
            zero = (-ends[0] / scale).round().to(torch.int32)
            error = float((self._round(sample, scale, zero) - sample).square().sum())
            if error < best:
                best, self.scale, self.zero_point = error, scale, zero

    def forward(self, x: Tensor) -> Tensor:
        return self._round(x, self.scale, self.zero_point)

    def _round(self, x: Tensor, scale: Tensor, zero_point: Tensor) -> Tensor:
        return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, 0, self.high)


class Quantizer(Compressor):
    """Quantizes every convolution and linear layer in one step; other parameters stay as they are."""

    def __init__(self, quantization: Quantization, *, seed: int) -> None:
        """Args: how many bits; nothing is drawn."""
        self._quantization = quantization

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Fit the ranges of activations to some of these images, in one pass, and those of weights to the weights."""
        sample = x[: self._quantization.calibration_examples]
        self._add_quantizers(model, _inputs(model, layers_of(model), sample))

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Add quantizers whose ranges are yet to be loaded."""
        self._add_quantizers(model, {name: torch.zeros(1) for name in layers_of(model)})

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The floating-point weights under the names that they had, and nothing of the quantizers."""
        last: dict[str, int] = {}  # parametrization of each quantized weight; a method before may have added others
        for layer, number in (found.groups() for found in map(_WEIGHT_QUANTIZER.fullmatch, state) if found):
            last[layer] = max(int(number), last.get(layer, 0))
        quantized = last if self._quantization.weight_bits < FLOAT else {}
        ours = {f"{layer}.parametrizations.weight.{number}.share" for layer, number in quantized.items()}
        alone = {
            f"{layer}.parametrizations.weight.original": f"{layer}.weight" for layer, at in quantized.items() if not at
        }
        return {
            alone.get(name, name): value
            for name, value in state.items()
            if name not in ours and ".input_quantizer." not in name
        }

    def bits(self, layer: nn.Module) -> tuple[int, int]:
        """Of a layer's quantizers."""
        weight, inputs = FLOAT, FLOAT
        for part in layer.modules():
            if isinstance(part, WeightQuantizer):
                weight = part.bits
            elif isinstance(part, ActivationQuantizer):
                inputs = part.bits
        return weight, inputs

    def deploy(self, model: nn.Module) -> None:
        """Replace quantizers by stored weights and rounded inputs."""
        for layer in layers_of(model).values():
            bits = self.bits(layer)
            if bits[0] < FLOAT:
                steps: Any = layer.parametrizations
                *before, quantizer = steps["weight"]
                weight = steps["weight"].original
                for one in before:
                    weight = one(weight)
                stored = (
                    StoredBytes(*quantizer.integers(weight)) if bits[0] <= BYTE else StoredFloats(quantizer(weight))
                )
                steps["weight"][len(before)] = stored
            if bits[1] < FLOAT:
                rounding: Any = layer.input_quantizer
                scale, zero_point = float(rounding.scale), int(rounding.zero_point)
                layer.input_quantizer = RoundedInput(scale, zero_point, bits=bits[1], fusible=fusible(*bits))

    def _add_quantizers(self, model: nn.Module, samples: Mapping[str, Tensor]) -> None:
        """Attach quantizers; `samples` is what each layer is fed."""
        layers = layers_of(model)
        bits = _bits(len(layers), self._quantization)
        for (name, layer), (weight_bits, input_bits) in zip(layers.items(), bits, strict=True):
            if weight_bits < FLOAT:
                quantizer = WeightQuantizer(layer.weight, weight_bits)
                parametrize.register_parametrization(layer, "weight", quantizer)
            if input_bits < FLOAT:
                layer.add_module("input_quantizer", ActivationQuantizer(samples[name], input_bits))
                layer.register_forward_pre_hook(_quantize_input)


def _bits(layers: int, quantization: Quantization) -> list[tuple[int, int]]:
    """Bits of weights and input of each layer."""
    inner = (quantization.weight_bits, quantization.activation_bits)
    outer = (max(OUTER_BITS, inner[0]), max(OUTER_BITS, inner[1]))
    return [outer if index in (0, layers - 1) else inner for index in range(layers)]


def _inputs(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor) -> dict[str, Tensor]:
    """A sample of what each layer is fed, spread evenly over images and positions."""
    samples: dict[str, Tensor] = {}
    hooks = []
    for name, layer in layers.items():

        def note(_: nn.Module, inputs: tuple[Tensor, ...], name: str = name) -> None:
            flat = inputs[0].detach().flatten()
            samples[name] = flat[:: max(1, len(flat) // SAMPLE)]

        hooks.append(layer.register_forward_pre_hook(note))
    try:
        with frozen(model), torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return samples


def _quantize_input(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    quantizer = layer.input_quantizer
    assert isinstance(quantizer, nn.Module)
    return quantizer(inputs[0]), *inputs[1:]
