"""The size of a compressed network: bit operations of a forward pass, and bytes of its stored weights."""

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.compression.quantization import FLOAT, bits_of, layers_of
from trainables.models.build import frozen


def forward_bitops(model: nn.Module, example: Tensor) -> float:
    """MACs × weight bits × input bits of one forward pass of one image, summed over the layers.

    Without it, quantization could not win: it leaves the number of MACs alone. 32 bits where nothing is quantized.
    """
    with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    flops = counter.get_flop_counts()
    total = 0.0
    for name, layer in layers_of(model).items():
        weight_bits, input_bits = bits_of(layer)
        total += sum(flops[f"{type(model).__name__}.{name}"].values()) / 2 * weight_bits * input_bits
    return total


def stored_bytes(model: nn.Module) -> float:
    """Bytes of what the network is made of, its quantized weights at their bits; nothing for the file around them."""
    quantized = {
        f"{name}.parametrizations.weight.original": bits_of(layer)[0]
        for name, layer in layers_of(model).items()
        if bits_of(layer)[0] < FLOAT
    }
    total = 0.0
    for name, tensor in model.state_dict().items():
        total += tensor.numel() * quantized.get(name, 8 * tensor.element_size()) / 8
    return total
