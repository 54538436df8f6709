"""The size of a compressed network: bit operations of a forward pass, and bytes of its stored weights."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.compression.compressor import FLOAT, Compressors, layers_of
from trainables.models.build import frozen


def forward_bitops(model: nn.Module, example: Tensor, compressors: Compressors) -> float:
    """MACs × weight bits × input bits of one forward pass of one image, summed over the layers.

    Without it, quantization could not win: it leaves the number of MACs alone. 32 bits where nothing is quantized, and
    for products outside of convolutions and linear layers.
    """
    with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    flops, rest = counter.get_flop_counts(), float(counter.get_total_flops())
    total: float = 0.0
    for name, layer in layers_of(model).items():
        weight_bits, input_bits = compressors.bits(layer)
        own = sum(flops.get(f"{type(model).__name__}.{name}", {}).values())  # none where a layer is not used
        rest -= own
        total += own / 2 * weight_bits * input_bits
    return total + rest / 2 * FLOAT**2


def stored_bytes(model: nn.Module, compressors: Compressors) -> float:
    """Bytes of what the network is made of, its quantized weights at their bits; nothing for the file around them."""
    few: dict[str, int] = {}  # bits of quantized weights, by the names that a state_dict may have for them
    for name, layer in layers_of(model).items():
        if (bits := compressors.bits(layer)[0]) < FLOAT:
            few |= {f"{name}.weight": bits, f"{name}.parametrizations.weight.original": bits}
    total = 0.0
    for name, tensor in model.state_dict().items():
        total += tensor.numel() * few.get(name, 8 * tensor.element_size()) / 8
    return total
