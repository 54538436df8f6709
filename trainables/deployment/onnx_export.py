"""Writes a trained network as an ONNX file for deployment, compressed as it was trained."""

import copy
import io
import warnings
from unittest.mock import patch

import torch
from torch import nn
from torch.jit._trace import TracerWarning

from trainables.compression.compressor import Compressors
from trainables.deployment.batchnorm_folding import fold_batchnorm
from trainables.deployment.onnx_runtime import require_onnx
from trainables.errors import InvalidInput

OPSET = 20  # version of ONNX's operators, the newest that PyTorch's tracing exporter writes


def to_onnx(model: nn.Module, image_shape: tuple[int, ...], compressors: Compressors) -> bytes:
    """Returns a network as the content of an ONNX file.

    Its input is `images` (n, channels, height, width) in [0, 1], its output `scores` (n, classes).

    Args:
        model: the trained network; it is left as it is.
        image_shape: (channels, height, width).
        compressors: the compressors of its recipe, which replace their modules by ones that ONNX has operators for.

    Raises:
        InvalidInput: the packages are missing, or ONNX cannot express something that the network computes.
    """
    require_onnx()
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    compressors.deploy(model)
    content = io.BytesIO()
    # The tracing exporter is used (dynamo=False), because the newer one refuses fake quantization (torch 2.14.1). It
    # warns that it is the older one, and that shapes that a network reads off its images stay fixed in the file, as
    # they should. On a failure it prints the network's graph even if its log is off (setup_onnx_logging of torch 2.14.1
    # tests a function where it should call it), so the log is replaced until PyTorch mends that.
    with warnings.catch_warnings(), patch.object(torch._C, "_jit_onnx_log", lambda *_: None):
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        try:
            torch.onnx.export(
                model,
                (torch.zeros(2, *image_shape),),  # two images, since an axis of size 1 could be taken for a fixed one
                content,  # type: ignore[arg-type]  # dynamo=False takes a buffer; the annotation is of dynamo=True
                dynamo=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["scores"],
                dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
            )
        except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
            reason = str(error).strip().splitlines()[0].split("  [Caused by")[0]
            raise InvalidInput(f"model.name: the network cannot be written as ONNX ({reason})") from error
    return fold_batchnorm(content.getvalue())
