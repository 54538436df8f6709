"""Folds batch normalization into the weights of a quantized ONNX graph, so that runtimes can compute it in integers.

Runtimes turn DequantizeLinear → Conv → QuantizeLinear into one integer convolution, but not if there is a
BatchNormalization in between, where PyTorch's exporter leaves it. Here it is folded into the scales of the weights.
"""

from collections import Counter
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
    """Folds every normalization that follows a convolution with quantized weights, where nothing else reads between.

    A convolution or a normalization that the network uses several times is several nodes with the same tensors, so
    what is changed gets a tensor of its own, and a tensor is removed only once no node reads it.
    """
    for norm in [node for node in graph.node if node.op_type == "BatchNormalization"]:
        makers, readers = {name: node for node in graph.node for name in node.output}, _readers(graph)
        conv = makers.get(norm.input[0])
        if conv is None or conv.op_type != "Conv" or readers[conv.output[0]] > 1:
            continue
        weight = makers.get(conv.input[1])
        if weight is not None and weight.op_type == "DequantizeLinear" and weight.input[0] in _initializers(graph):
            _fold(graph, norm, conv, weight)
    readers = _readers(graph)
    for tensor in [tensor for tensor in graph.initializer if not readers[tensor.name]]:
        graph.initializer.remove(tensor)


def _fold(graph: Any, norm: Any, conv: Any, weight: Any) -> None:
    """Folds one normalization into its convolution.

    (W x + b - mean) k + shift, with k = gain / sqrt(variance + epsilon), becomes (k W) x + k (b - mean) + shift. A
    negative k inverts the sign of the integers. Where one of these is -128, which has no opposite, or where k is 0,
    which is no valid scale, the normalization is left as it is.
    """
    from onnx import helper, numpy_helper

    tensors = _initializers(graph) | _constants(graph)

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
    readers = _readers(graph)
    if readers[weight.output[0]] > 1:
        copied = helper.make_node(
            "DequantizeLinear", list(weight.input), [f"{conv.output[0]}.weight"], axis=0, name=f"{conv.name}.weight"
        )
        graph.node.insert(list(graph.node).index(conv), copied)
        conv.input[1], weight = copied.output[0], next(one for one in graph.node if copied.output[0] in one.output)
        readers = _readers(graph)
    for place, array in ((0, stored.astype(np.uint8)), (1, scale)):
        name = weight.input[place]
        if readers[name] > 1:
            weight.input[place] = f"{conv.output[0]}.{('stored', 'scale')[place]}"
            graph.initializer.append(numpy_helper.from_array(array, weight.input[place]))
        else:
            tensors[name].CopyFrom(numpy_helper.from_array(array, name))
    name = f"{conv.output[0]}.bias"
    graph.initializer.append(numpy_helper.from_array((bias * factor + shift).astype(np.float32), name))
    conv.input[:], conv.output[:] = [*conv.input[:2], name], list(norm.output)
    graph.node.remove(norm)


def _readers(graph: Any) -> Counter[str]:
    """Counts the nodes that read each name, those of branches and loops too; the graph's own outputs count as read."""
    found = Counter(output.name for output in graph.output)
    for node in graph.node:
        found.update(node.input)
        for attribute in node.attribute:
            for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                found.update(_readers(inner))
    return found


def _initializers(graph: Any) -> dict[str, Any]:
    return {tensor.name: tensor for tensor in graph.initializer}


def _constants(graph: Any) -> dict[str, Any]:
    """Returns the tensors that nodes make of nothing, by name; gains of 1 are such where a normalization has none."""
    return {
        node.output[0]: node.attribute[0].t
        for node in graph.node
        if node.op_type == "Constant" and node.attribute and node.attribute[0].HasField("t")
    }
