"""Measures the size of a compressed network: bit operations of a forward pass, and bytes of its stored weights."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.compression.compressor import FLOAT, Compressors, layers_of
from trainables.models.build import frozen


def forward_bitops(model: nn.Module, example: Tensor, compressors: Compressors) -> float:
    """Returns the bit operations of one image's forward pass: MACs × weight bits × input bits, summed over the layers.

    As an objective they show the gain of quantization, which leaves the number of MACs as it is. Numbers that are not
    quantized count as 32 bits, and so do those of products outside convolutions and linear layers.
    """
    with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    flops, rest = counter.get_flop_counts(), float(counter.get_total_flops())
    total: float = 0.0
    for name, layer in layers_of(model).items():
        weight_bits, input_bits = compressors.bits(layer)
        own = sum(flops.get(f"{type(model).__name__}.{name}", {}).values())  # empty for a layer that is not used
        rest -= own
        total += own / 2 * weight_bits * input_bits
    return total + rest / 2 * FLOAT**2


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
