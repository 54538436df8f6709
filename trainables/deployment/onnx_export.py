"""Writes a trained network as an ONNX file for deployment, compressed as it was trained."""

import copy
import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.jit._trace import TracerWarning
from torch.nn.utils import parametrize

from trainables.compression.compressor import Compressors
from trainables.compression.quantized_layers import StoredBytes, StoredFloats
from trainables.deployment.batchnorm_folding import fold_batchnorm
from trainables.deployment.decompositions import Decomposed
from trainables.deployment.onnx_check import TRACED, check_numbers_of_images
from trainables.deployment.onnx_runtime import require_onnx
from trainables.deployment.operator_places import place_of_packing, place_of_refused
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
        InvalidInput: the packages are missing, ONNX cannot express something that the network computes, or the file
            computes something else for another number of images than it was written with.
    """
    require_onnx()
    model = copy.deepcopy(model).cpu().eval().requires_grad_(False)
    compressors.deploy(model)
    _store_computed_weights(model)
    with _traceable_attention(), _packing_told(model, image_shape):
        with Decomposed():
            content = _traced(model, image_shape)
        content = fold_batchnorm(content)
        check_numbers_of_images(content, model, image_shape)
    return content


@contextmanager
def _packing_told(model: nn.Module, image_shape: tuple[int, ...]) -> Iterator[None]:
    """Says of a network that cannot be written that it packs sequences, if it does: that is why, whatever failed."""
    try:
        yield
    except InvalidInput as refused:
        place = place_of_packing(model, torch.zeros(TRACED, *image_shape))
        if place is None:
            raise
        raise InvalidInput(
            f"model.name: the network cannot be written as ONNX, since it packs sequences{place}: PyTorch's exporter "
            "writes a recurrent layer between pack_padded_sequence, with a tensor of as many lengths as x.shape[0] "
            "says, and pad_packed_sequence, and no other use of packed sequences or of the lengths that come back; "
            "where all lengths are equal, call the layer without packing "
            f"({str(refused).removeprefix('model.name: ')})"
        ) from refused


def _traced(model: nn.Module, image_shape: tuple[int, ...]) -> bytes:
    """Returns the file that PyTorch's exporter writes; arguments as of `to_onnx`, which prepares the network."""
    content = io.BytesIO()
    # The tracing exporter is used (dynamo=False), because the newer one refuses fake quantization (torch 2.14.1). It
    # warns that it is the older one, and that shapes that a network reads off its images stay fixed in the file, as
    # they should. On a failure it prints the network's graph even if its log is off (setup_onnx_logging of torch 2.14.1
    # tests a function where it should call it), so the log is replaced until PyTorch mends that.
    with warnings.catch_warnings(), patch.object(torch._C, "_jit_onnx_log", lambda *_: None):
        warnings.filterwarnings("ignore", "You are using the legacy TorchScript-based ONNX export", DeprecationWarning)
        warnings.filterwarnings("ignore", "The feature will be removed", DeprecationWarning)
        warnings.filterwarnings("ignore", category=TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)  # what is not folded is computed
        # Packed sequences: `_packing_told` says which can be written.
        warnings.filterwarnings("ignore", "pack_padded_sequence has been called with a Python list", UserWarning)
        # Recurrent layers: the file is run on other numbers of images afterwards.
        warnings.filterwarnings("ignore", "Exporting a model to ONNX with a batch_size other than 1", UserWarning)
        # Instance normalization without kept statistics takes the images' own, in eval mode too.
        warnings.filterwarnings("ignore", "ONNX export mode is set to TrainingMode.EVAL", UserWarning)
        try:
            torch.onnx.export(
                model,
                (torch.zeros(TRACED, *image_shape),),  # several, since an axis of size 1 could be taken for a fixed one
                content,  # type: ignore[arg-type]  # dynamo=False takes a buffer; the annotation is of dynamo=True
                dynamo=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=["scores"],
                dynamic_axes={"images": {0: "n"}, "scores": {0: "n"}},
            )
        except Exception as error:  # the exporter raises whatever its rules for an operator run into
            lines = str(error).strip().splitlines() or [""]
            reason = lines[0].split("  [Caused by")[0] or type(error).__name__
            place = place_of_refused(error, model, torch.zeros(TRACED, *image_shape))
            raise InvalidInput(
                f"model.name: the network cannot be written as ONNX ({reason}){place}; compute it by other operators "
                "of PyTorch's"
            ) from error
    return content.getvalue()


class _Constant(nn.Module):
    """Stands in the place of a weight's parametrizations, and returns the weight that they computed."""

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self) -> Tensor:
        return self.weight


def _store_computed_weights(model: nn.Module) -> None:
    """Replaces each computed weight, of a spectral norm or a mask, by its value; quantized ones are values already."""
    with torch.no_grad():
        for module in list(model.modules()):
            if not parametrize.is_parametrized(module):
                continue
            weights = module.get_submodule("parametrizations")
            for name, steps in list(weights.named_children()):
                if not any(isinstance(step, StoredBytes | StoredFloats) for step in steps.children()):
                    weights.add_module(name, _Constant(getattr(module, name)))


@contextmanager
def _traceable_attention() -> Iterator[None]:
    """Has attention computed by operators that ONNX has, instead of PyTorch's fused ones for evaluation."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
