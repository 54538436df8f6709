"""Measures the size of a compressed network: bit operations of a forward pass, and bytes of its stored weights."""

from torch import Tensor, nn

from trainables.compression.compressor import FLOAT, Compressors, layers_of
from trainables.compute.flops import forward_by_layer

# Products inside an attention layer that have no weights: of queries with keys, and of attention weights with values.
_OF_ACTIVATIONS = frozenset({"aten::bmm", "aten::baddbmm"})


def forward_bitops(model: nn.Module, example: Tensor, compressors: Compressors) -> float:
    """Returns the bit operations of one image's forward pass: MACs × weight bits × input bits, summed over the layers.

    As an objective they show the gain of quantization, which leaves the number of MACs as it is. Numbers that are not
    quantized count as 32 bits, and so do those of products without weights, such as those inside attention.
    """
    layers = layers_of(model)
    total: float = 0.0
    for name, flops in forward_by_layer(model, example, list(layers)).items():
        weight_bits, input_bits = compressors.bits(layers[name]) if name else (FLOAT, FLOAT)
        attention = isinstance(layers.get(name), nn.MultiheadAttention)
        for operator, own in flops.items():
            weighted = not (attention and operator in _OF_ACTIVATIONS)
            total += own / 2 * (weight_bits * input_bits if weighted else FLOAT**2)
    return total


def stored_bytes(model: nn.Module, compressors: Compressors) -> float:
    """Returns the bytes of the network's tensors, quantized weights at their bits; a file's overhead is not counted."""
    few: dict[str, int] = {}  # bits of each quantized weight, by the names that it may have in a state_dict
    for name, layer in layers_of(model).items():
        if (bits := compressors.bits(layer)[0]) < FLOAT:
            few |= {f"{name}.weight": bits, f"{name}.parametrizations.weight.original": bits}
    total = 0.0
    for name, tensor in model.state_dict().items():
        total += tensor.numel() * few.get(name, 8 * tensor.element_size()) / 8
    return total
