"""Folds batch normalization into the weights of a quantized ONNX graph, so that runtimes can compute it in integers.

Runtimes turn DequantizeLinear → Conv → QuantizeLinear into one integer convolution, but not if there is a
BatchNormalization in between, where PyTorch's exporter leaves it. Here it is folded into the scales of the weights.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.compression.quantized_layers import ZERO

Floats = NDArray[np.float32]


def fold_batchnorm(content: bytes) -> bytes:
    """Returns an ONNX file of the same function, with batch normalization folded into the scales of the weights.

    Args:
        content: content of a file that PyTorch's exporter wrote, with quantized weights as DequantizeLinear of uint8
            initializers with zero point 128.
    """
    import onnx  # late: an optional dependency

    model = onnx.load_from_string(content)
    _own_initializers(model.graph)
    _fold_batch_norms(model.graph)
    finished: bytes = model.SerializeToString()
    return finished


def _own_initializers(graph: Any) -> None:
    """Gives each user of a shared initializer a copy; the exporter shares equal ones through Identity nodes."""
    tensors = _initializers(graph)
    for node in [node for node in graph.node if node.op_type == "Identity" and node.input[0] in tensors]:
        graph.initializer.add().CopyFrom(tensors[node.input[0]])
        graph.initializer[-1].name = node.output[0]
        graph.node.remove(node)


def _fold_batch_norms(graph: Any) -> None:
    tensors, makers = _initializers(graph), {name: node for node in graph.node for name in node.output}
    uses = [name for node in graph.node for name in node.input]
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or uses.count(conv.output[0]) > 1:
            continue
        weight = makers.get(conv.input[1])
        if weight is not None and weight.op_type == "DequantizeLinear" and weight.input[0] in tensors:
            _fold(graph, norm, conv, weight, tensors)


def _fold(graph: Any, norm: Any, conv: Any, weight: Any, tensors: dict[str, Any]) -> None:
    """Folds one normalization into its convolution.

    (W x + b - mean) k + shift, with k = gain / sqrt(variance + epsilon), becomes (k W) x + k (b - mean) + shift. A
    negative k inverts the sign of the integers. Where one of these is -128, which has no opposite, or where k is 0,
    which is no valid scale, the normalization is left as it is.
    """
    from onnx import numpy_helper

    def read(name: str) -> Floats:
        return np.asarray(numpy_helper.to_array(tensors[name]), np.float32)

    gain, shift, mean, variance = (read(name) for name in norm.input[1:5])
    epsilon = next((entry.f for entry in norm.attribute if entry.name == "epsilon"), 1e-5)
    factor = gain / np.sqrt(variance + np.float32(epsilon))
    stored = numpy_helper.to_array(tensors[weight.input[0]]).astype(np.int16)
    stored[factor < 0] = 2 * ZERO - stored[factor < 0]
    if not factor.all() or stored.max() > np.iinfo(np.uint8).max:
        return
    scale = read(weight.input[1]) * np.abs(factor)
    bias = (read(conv.input[2]) if len(conv.input) > 2 else 0) - mean
    name = f"{conv.output[0]}.bias"
    tensors[weight.input[0]].CopyFrom(numpy_helper.from_array(stored.astype(np.uint8), weight.input[0]))
    tensors[weight.input[1]].CopyFrom(numpy_helper.from_array(scale, weight.input[1]))
    graph.initializer.append(numpy_helper.from_array((bias * factor + shift).astype(np.float32), name))
    unused = {*norm.input[1:5], *conv.input[2:]}
    conv.input[:], conv.output[:] = [*conv.input[:2], name], list(norm.output)
    graph.node.remove(norm)
    for tensor in [tensor for tensor in graph.initializer if tensor.name in unused]:
        graph.initializer.remove(tensor)


def _initializers(graph: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in graph.initializer}
