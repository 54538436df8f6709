"""The deployed file: a trained network as ONNX, from images in [0, 1] to scores, quantized as it was trained.

Weights of at most 8 bits are stored in a byte each and become floats by DequantizeLinear, bit for bit the floats that
PyTorch trained with. The byte is unsigned, 128 above the integer: signed ones send onnxruntime 1.32 to kernels that add
pairs of products in 16 bits on x86 processors without VNNI, and these saturate (a trained W8A8 network then labelled 2%
of digits differently). The rounding of activations becomes QuantizeLinear and DequantizeLinear on uint8, which runtimes
fuse with such weights into integer kernels; below 8 bits a Clip before them cuts to the part of uint8 in use.

There are no such kernels for 16 bits, or for one side alone; and where both sides have few bits, they round biases to
too coarse a step. Then the rounding of activations is written as Div, Round, Clip and Mul, lest a runtime fuse it.
16-bit weights are stored as the floats that they stand for.
"""

import copy
import io
import warnings
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn.utils import parametrize

from trainables.compression.quantization import ActivationQuantizer, WeightQuantizer, bits_of, layers_of
from trainables.deployment.batchnorm_folding import ZERO, finish
from trainables.deployment.onnx_runtime import require_onnx
from trainables.errors import InvalidInput

OPSET = 20  # of ONNX; the newest that torch's exporter by tracing writes
BYTE = 8  # bits up to which runtimes have integer kernels
FUSIBLE = 8  # bits of weights and input together from which they are used: W2A2 lost 3.4% of the labels by them


class _Dequantize(torch.autograd.Function):
    """(stored - zero) × scale, by output channel: in ONNX a DequantizeLinear along the first axis."""

    @staticmethod
    def forward(ctx: Any, stored: Tensor, scale: Tensor, zero: Tensor) -> Tensor:
        return _by_channel(scale, stored) * (stored.float() - _by_channel(zero, stored))

    @staticmethod
    def symbolic(g: Any, stored: Any, scale: Any, zero: Any) -> Any:
        return g.op("DequantizeLinear", stored, scale, zero, axis_i=0)


class _StoredWeight(nn.Module):
    """In the place of a WeightQuantizer: gives the same weights, out of stored bytes, or floats above 8 bits."""

    stored: Tensor
    scale: Tensor
    zero: Tensor

    def __init__(self, quantizer: WeightQuantizer, weight: Tensor) -> None:
        super().__init__()
        if quantizer.bits > BYTE:
            self.register_buffer("stored", quantizer(weight))
            return
        integers, scale = quantizer.integers(weight)
        self.register_buffer("stored", (integers + ZERO).to(torch.uint8))
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.full_like(scale, ZERO, dtype=torch.uint8))

    def forward(self, _: Tensor) -> Tensor:
        if self.stored.dtype != torch.uint8:
            return self.stored
        weight: Tensor = _Dequantize.apply(self.stored, self.scale, self.zero)
        return weight


class _RoundedInput(nn.Module):
    """In the place of an ActivationQuantizer: the same grid, in operations that ONNX has."""

    def __init__(self, quantizer: ActivationQuantizer, *, fusible: bool) -> None:
        super().__init__()
        self.bits, self.high, self.fusible = quantizer.bits, quantizer.high, fusible
        self.scale, self.zero_point = float(quantizer.scale), int(quantizer.zero_point)

    def forward(self, x: Tensor) -> Tensor:
        low, high = -self.zero_point, self.high - self.zero_point
        if not self.fusible:
            return (x / self.scale).round().clamp(low, high) * self.scale
        if self.bits < BYTE:
            x = x.clamp(low * self.scale, high * self.scale)
        return torch.fake_quantize_per_tensor_affine(x, self.scale, self.zero_point, 0, 2**BYTE - 1)


def to_onnx(model: nn.Module, image_shape: tuple[int, ...]) -> bytes:
    """A network as the content of an ONNX file: `images` (n, channels, height, width) in, `scores` (n, classes) out.

    Args:
        model: plain, pruned or quantized; it is left as it is.
        image_shape: (channels, height, width).

    Raises:
        InvalidInput: the packages are missing, or the network computes something that ONNX has no words for.
    """
    require_onnx()
    model = _deployable(model)
    content = io.BytesIO()
    # By tracing (dynamo=False), since the newer exporter refuses fake quantization (torch 2.14.1). It warns that it is
    # the older one, and of shapes that a network reads off its images, which stay fixed in the file, as they should.
    # On a failure it prints the network's graph, whether its log is on or not (torch 2.14.1's setup_onnx_logging takes
    # the function that says so for its answer): the log is replaced until that is mended.
    with warnings.catch_warnings(), patch.object(torch._C, "_jit_onnx_log", lambda *_: None):
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        try:
            torch.onnx.export(
                model,
                (torch.zeros(2, *image_shape),),  # not one: a network could take its batch axis for a fixed one
                content,  # type: ignore[arg-type]  # a buffer, which dynamo=False takes; annotated for dynamo=True
                dynamo=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["scores"],
                dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0].split("  [Caused by")[0]
            raise InvalidInput(f"model.name: the network cannot be written as ONNX ({reason})") from error
    return finish(content.getvalue())


def _deployable(model: nn.Module) -> nn.Module:
    """A copy on the CPU in eval mode, its quantizers replaced by what the file holds."""
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    for layer in layers_of(model).values():
        fusible = max(bits_of(layer)) <= BYTE and sum(bits_of(layer)) >= FUSIBLE
        if parametrize.is_parametrized(layer, "weight"):
            steps: Any = layer.parametrizations
            steps["weight"][0] = _StoredWeight(steps["weight"][0], steps["weight"].original)
        if isinstance(quantizer := getattr(layer, "input_quantizer", None), ActivationQuantizer):
            layer.input_quantizer = _RoundedInput(quantizer, fusible=fusible)
    return model


def _by_channel(values: Tensor, weight: Tensor) -> Tensor:
    """Values (out,) as (out, 1, …), to go with a weight (out, …)."""
    return values.reshape(-1, *[1] * (weight.dim() - 1))
