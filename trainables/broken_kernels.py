"""Goes around a kernel of PyTorch's that writes beyond its memory, on processors that have AVX2 and no AVX-512.

Found on torch 2.14.1 with oneDNN, on an AMD EPYC of 2021: the gradient of a 1×1 convolution with a stride, with respect
to its input, in channels-last memory and with fewer than eight channels, ends the process or spoils other numbers. A
pruned ResNet has such shortcuts. With fewer instructions (ONEDNN_MAX_CPU_ISA=AVX) all training takes 40% longer, so
only these layers are computed otherwise: the pixels that the stride passes over are dropped first, to the same effect.
"""

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

AFFECTED = "AVX2"  # as PyTorch names what a processor can do; one that can do more has another kernel
ENOUGH = 8  # channels, with which the kernel stays within its memory


class SubsampledConv2d(nn.Conv2d):
    """A 1×1 convolution with a stride that, for the kernel's sake, drops what the stride passes over beforehand."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        wants_gradient = torch.is_grad_enabled() and input.requires_grad and input.device.type == "cpu"
        if not wants_gradient or weight.shape[1] >= ENOUGH:
            whole: Tensor = super()._conv_forward(input, weight, bias)
            return whole
        rows, columns = self.stride
        return conv2d(input[..., ::rows, ::columns], weight, bias, 1, 0, 1, self.groups)


def go_around(model: nn.Module) -> nn.Module:
    """Changes the layers of a network that the broken kernel would compute, on processors that have it, and returns it.

    Whether channels are few is asked at each call, since pruning may take them later.
    """
    if is_affected():
        for layer in model.modules():
            if type(layer) is nn.Conv2d and _is_strided_pointwise(layer):
                layer.__class__ = SubsampledConv2d
    return model


@cache
def is_affected() -> bool:
    """Returns whether this machine's processor has the broken kernel."""
    return torch.backends.cpu.get_cpu_capability() == AFFECTED


def _is_strided_pointwise(layer: nn.Conv2d) -> bool:
    padded = layer.padding not in ((0, 0), "valid")
    return layer.kernel_size == (1, 1) and layer.stride != (1, 1) and not padded
