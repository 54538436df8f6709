"""Goes around a kernel of PyTorch's that writes beyond its memory, on processors that have AVX2 and no AVX-512.

Found on torch 2.14.1 with oneDNN, on an AMD EPYC of 2021: the gradient of a 1×1 convolution with a stride, with respect
to its weight, in channels-last memory, without padding and with fewer than eight channels, ends the process or spoils
other numbers. A pruned ResNet has such shortcuts, and RepVGG such a first layer. The gradient of the input alone is
sound. With fewer instructions (ONEDNN_MAX_CPU_ISA=AVX) all training takes 40% longer, so only these gradients are
computed otherwise: the pixels that the stride passes over are dropped first, to the same effect.

The operator itself is replaced, in the whole process and from the first network on that is built. So it does not matter
which module owns the weight or which function convolves, and modules, FLOPs and exports stay as they are. A process in
which `trainables.models.build` has built no network is not protected.
"""

from functools import cache
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.library import Library, get_kernel

AFFECTED = "AVX2"  # as PyTorch names what a processor can do; one that can do more has another kernel
ENOUGH = 8  # channels, with which the kernel stays within its memory
OPERATOR = "aten::convolution_backward"
_LOCK = Lock()  # networks are built in more than one thread


def go_around() -> None:
    """Replaces the broken kernel in this process, on processors that have it; a second call changes nothing."""
    with _LOCK:
        if is_affected():
            _replacement()


@cache
def is_affected() -> bool:
    """Returns whether this machine's processor has the broken kernel."""
    return torch.backends.cpu.get_cpu_capability() == AFFECTED


@cache
def _replacement() -> Library:
    """Registers a kernel of the operator that drops pixels where it must, and calls PyTorch's own."""
    own = get_kernel(OPERATOR, "CPU")

    def convolution_backward(keys: Any, gradient: Tensor, x: Tensor, weight: Tensor, *rest: Any) -> Any:
        bias_sizes, stride, padding, _, transposed, output_padding, groups, wanted = rest
        strided = tuple(weight.shape[2:]) == (1, 1) and any(step > 1 for step in stride)
        broken = wanted[1] and strided and weight.shape[1] < ENOUGH and not transposed and not any(padding)
        if not broken:
            return own.call_boxed(keys, gradient, x, weight, *rest)
        kept = (..., slice(None, None, stride[0]), slice(None, None, stride[-1]))
        rest = (bias_sizes, [1, 1], padding, [1, 1], transposed, output_padding, groups, wanted)
        of_input, *others = own.call_boxed(keys, gradient, x[kept], weight, *rest)
        if wanted[0]:
            whole = torch.zeros_like(x)
            whole[kept] = of_input
            of_input = whole
        return (of_input, *others)

    library = Library("aten", "IMPL")  # type: ignore[no-untyped-call]  # torch left both untyped
    name = OPERATOR.removeprefix("aten::")
    library.impl(name, convolution_backward, "CPU", with_keyset=True)  # type: ignore[no-untyped-call]
    return library  # PyTorch's own kernel comes back when this is deleted
