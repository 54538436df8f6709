"""Measures the size of a compressed network: bit operations of a forward pass, and bytes of its stored weights."""

from torch import Tensor, nn

from trainables.compression.compressor import FLOAT, Compressors
from trainables.compression.quantized_layers import NOTED_BITS
from trainables.compression.weight_layers import own_weights, weighted_layers, weights_of
from trainables.compute.flops import forward_by_layer

# Products inside an attention layer that have no weights: of queries with keys, and of attention weights with values.
_OF_ACTIVATIONS = frozenset({"aten::bmm", "aten::baddbmm"})


def forward_bitops(model: nn.Module, example: Tensor, compressors: Compressors) -> float:
    """Returns the bit operations of one image's forward pass: MACs × weight bits × input bits, summed over the layers.

    As an objective they show the gain of quantization, which leaves the number of MACs as it is. Numbers that are not
    quantized count as 32 bits, and so do those of products without weights, such as those inside attention.
    """
    layers = weighted_layers(model)
    total: float = 0.0
    for name, flops in forward_by_layer(model, example, list(layers)).items():
        layer = layers.get(name)
        for operator, own in flops.items():
            attention = isinstance(layer, nn.MultiheadAttention)
            if layer is None or (attention and operator in _OF_ACTIVATIONS):
                bits: float = FLOAT**2
            elif isinstance(layer, nn.MultiheadAttention):
                bits = _bits_of_attention(layer, compressors)
            else:
                bits = _bits_of_layer(layer, compressors)
            total += own / 2 * bits
    return total


def _bits_of_layer(layer: nn.Module, compressors: Compressors) -> float:
    """Returns weight bits × input bits of a layer; matrices of its class's own, such as an adapter's, stay floats.

    Each then has the share of the layer's MACs that it has of their elements, as is so where all see the same inputs.
    """
    weight_bits, input_bits = compressors.bits(layer)
    own = sum(matrix.numel() for matrix in own_weights(layer).values())
    whole = own + sum(getattr(layer, name).numel() for name in weights_of(layer))
    share = own / whole if own else 0.0
    return (1 - share) * weight_bits * input_bits + share * FLOAT**2


def _bits_of_attention(layer: nn.MultiheadAttention, compressors: Compressors) -> float:
    """Returns the mean of weight bits × input bits over an attention layer's projections, by their shares of weights.

    The layer reads the weights of its output projection without calling it, so the MACs of both are counted as one.
    """
    parts = [[layer.out_proj.weight], [getattr(layer, name) for name in weights_of(layer)]]
    sizes: list[int] = [sum(weight.numel() for weight in weights) for weights in parts]
    (outer, _), (inner, inputs) = compressors.bits(layer.out_proj), compressors.bits(layer)
    return float(sizes[0] * outer * FLOAT + sizes[1] * inner * inputs) / sum(sizes)


def stored_bytes(model: nn.Module, compressors: Compressors) -> float:
    """Returns the bytes of the network's tensors, quantized weights at their bits; a file's overhead is not counted.

    A tensor that has several names, of layers that share it, is stored once.
    """
    few: dict[str, int] = {}  # bits of each quantized weight, by the names that it may have in a state_dict
    for name, layer in weighted_layers(model).items():
        if (bits := compressors.bits(layer)[0]) < FLOAT:
            for weight in weights_of(layer):
                few |= {f"{name}.{weight}": bits, f"{name}.parametrizations.{weight}.original": bits}
    state, sizes = model.state_dict(keep_vars=True), dict[int, float]()
    for name, tensor in state.items():
        if name.endswith(NOTED_BITS):  # says how the network is rebuilt, and is no part of it
            continue
        size = tensor.numel() * few.get(name, 8 * tensor.element_size()) / 8
        sizes[id(tensor)] = min(size, sizes.get(id(tensor), size))
    return sum(sizes.values())
