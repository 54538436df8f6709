"""Implements quantization-aware training: weights and activations are rounded to few bits.

The network computes in floating point with the values that a b-bit integer network would have (arXiv 1712.05877), and
gradients pass straight through the rounding, so that training and attacks work. Weights are quantized symmetrically
with one scale per output channel, activations affinely with one range per tensor. The first and the last layer have 8
bits or more, as is usual (arXiv 1805.06085, section 4), since pixels themselves have 8.
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

OUTER_BITS = 8  # least bits of the first and the last layer
SHARES = torch.linspace(0.05, 1.0, 20)  # shares of the largest value that are tried as the end of the range
SAMPLE = 65_536  # about as many activations of each layer are used to fit its range
_WEIGHT_QUANTIZER = re.compile(r"(.*)\.parametrizations\.weight\.(\d+)\.share")  # its key in a state_dict


class WeightQuantizer(nn.Module):
    """Parametrization that rounds weights (out, …) to a grid of signed b-bit integers, one scale per output channel.

    The end of a channel's range is a share of its largest weight, so that the scale follows the weights in training;
    the share is fitted once, to the least squared error.
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
        """Returns the rounded weights as int32 integers (out, …), and the value of one integer step (out,)."""
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
    """Module that rounds a tensor to a grid of unsigned b-bit integers; its range contains 0 and is fitted once."""

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
    """Compressor that quantizes every convolution and linear layer in one step; other parameters stay as they are."""

    def __init__(self, quantization: Quantization, *, seed: int) -> None:
        """Makes the compressor of one network.

        Args:
            quantization: numbers of bits, and of images for calibration.
            seed: not used, because quantization draws nothing.
        """
        self._quantization = quantization

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Adds quantizers, and fits their ranges: of activations to some of these images, of weights to the weights."""
        sample = x[: self._quantization.calibration_examples]
        self._add_quantizers(model, _inputs(model, layers_of(model), sample))

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Adds quantizers whose ranges are loaded afterwards."""
        self._add_quantizers(model, {name: torch.zeros(1) for name in layers_of(model)})

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the floating-point weights under their names before quantization, and nothing of the quantizers."""
        last: dict[str, int] = {}  # layer to the number of its last parametrization: other methods may have added some
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
        """Returns the bits of a layer's quantizers for its weights and for its input."""
        weight, inputs = FLOAT, FLOAT
        for part in layer.modules():
            if isinstance(part, WeightQuantizer):
                weight = part.bits
            elif isinstance(part, ActivationQuantizer):
                inputs = part.bits
        return weight, inputs

    def deploy(self, model: nn.Module) -> None:
        """Replaces the quantizers by modules that ONNX has operators for: stored weights and rounded inputs."""
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
        """Adds quantizers to every layer; `samples` holds, by layer, values of its input to fit its range to."""
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
    """Returns the bits of weights and of input of each layer."""
    inner = (quantization.weight_bits, quantization.activation_bits)
    outer = (max(OUTER_BITS, inner[0]), max(OUTER_BITS, inner[1]))
    return [outer if index in (0, layers - 1) else inner for index in range(layers)]


def _inputs(model: nn.Module, layers: Mapping[str, nn.Module], x: Tensor) -> dict[str, Tensor]:
    """Returns, by layer, a sample of the values of its input, spread evenly over images and positions."""
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
