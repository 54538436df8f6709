"""Runs a network on shapes alone: a copy on PyTorch's `meta` device, on which nothing is computed."""

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from trainables.compute.counter import plain_kernels
from trainables.random_states import random_states_kept

Result = TypeVar("Result")


def on_shapes(model: nn.Module, example: Tensor, run: Callable[[nn.Module, Tensor], Result]) -> Result:
    """Calls a function with a copy of a network and of example images, both without values.

    Where a network cannot run without values, because it asks for some of them or for another library's arrays, the
    function is called with a copy that has them; the shapes are the same. The network, its gradients and all random
    states are left as they were.

    Args:
        model: the network, in any mode.
        example: images (n, channels, height, width) on the network's device.
        run: the function; it may change the copy.

    Raises:
        Exception: whatever the network raises where it has values.
    """
    with random_states_kept(), plain_kernels():
        try:
            return run(_without_values(model), torch.empty_like(example, device="meta"))
        except Exception:  # a user's network may fail in any way where values are missing
            return run(copy.deepcopy(model), example.detach().clone())


def _without_values(model: nn.Module) -> nn.Module:
    """Copies a network with all its tensors on `meta`; values are not copied, so that this is quick."""
    replaced: dict[int, Any] = {}
    for module in model.modules():
        for value in (*module._parameters.values(), *module._buffers.values(), *vars(module).values()):
            if isinstance(value, Tensor) and id(value) not in replaced:
                empty = torch.empty_like(value, device="meta", requires_grad=False)
                if isinstance(value, nn.Parameter):
                    empty = nn.Parameter(empty, requires_grad=value.requires_grad)
                replaced[id(value)] = empty
    return copy.deepcopy(model, replaced)
