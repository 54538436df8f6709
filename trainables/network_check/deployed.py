"""Checks that a network can be written as an ONNX file that gives the same scores."""

import torch
from torch import Tensor, nn

from trainables.compression.compressor import Compressors
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel, require_onnx
from trainables.errors import InvalidInput
from trainables.models.build import frozen
from trainables.network_check.error_words import in_words
from trainables.network_check.findings import Finding, note, warning

APART = 0.1  # how far scores may be apart, as a share of the largest: a rounded value may fall on the next step


def check_export(model: nn.Module, compressors: Compressors, x: Tensor, name: str) -> list[Finding]:
    """Writes a network as an ONNX file, and runs that on a few images.

    A network that ONNX cannot express can still be searched, so nothing is refused here.

    Args:
        model: the network, compressed or not.
        compressors: the methods that compressed it.
        x: images (n, channels, height, width) in [0, 1].
        name: the key and the name of the network, for messages.

    Returns:
        A note if the optional packages are missing, a warning if the network cannot be exported.
    """
    try:
        require_onnx()
    except InvalidInput as missing:
        return [note(f"the export to ONNX was not tried ({missing})")]
    later = "the search runs, but do not rely on `temper export --format onnx`"
    try:
        with in_words(f"{name}: cannot be written as an ONNX file"):
            deployed = OnnxModel(to_onnx(model, tuple(x.shape[1:]), compressors), integer=False)
            scores = torch.from_numpy(deployed.scores(x.numpy()))
    except InvalidInput as refused:
        return [warning(f"{refused}; {later}")]
    with frozen(model), torch.no_grad():
        expected = model(x)
    if not bool((scores - expected).abs().max() <= APART * expected.abs().max()):
        return [warning(f"{name}: its ONNX file gives other scores than PyTorch; expected the same: {later}")]
    return []
