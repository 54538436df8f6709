"""The deployed file: a trained network as ONNX, from images in [0, 1] to scores, compressed as it was trained."""

import copy
import io
import warnings
from unittest.mock import patch

import torch
from torch import nn
from torch.jit._trace import TracerWarning

from trainables.compression.compressor import Compressors
from trainables.deployment.batchnorm_folding import finish
from trainables.deployment.onnx_runtime import require_onnx
from trainables.errors import InvalidInput

OPSET = 20  # of ONNX; the newest that torch's exporter by tracing writes


def to_onnx(model: nn.Module, image_shape: tuple[int, ...], compressors: Compressors) -> bytes:
    """A network as the content of an ONNX file: `images` (n, channels, height, width) in, `scores` (n, classes) out.

    Args:
        model: the trained network; it is left as it is.
        image_shape: (channels, height, width).
        compressors: that it was compressed by, which put what ONNX has operators for in the place of their modules.

    Raises:
        InvalidInput: the packages are missing, or the network computes something that ONNX has no words for.
    """
    require_onnx()
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    compressors.deploy(model)
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
