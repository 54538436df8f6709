"""Orders the layers of a network from its scores backwards, as torch-pruning (arXiv 2301.12900) visits them.

Groups of channels are formed, and random importances drawn, in this order, so that it decides what a seed removes.
"""

from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import _disable_current_modes

from trainables.channels.running import looked_at

LAYERS = (_ConvNd, nn.Linear)  # the layers whose output channels a group begins with


def layers_backwards(model: nn.Module, example: Tensor) -> list[nn.Module]:
    """Returns the convolutions and linear layers that the scores depend on, the last first, and then all others.

    Args:
        model: the network, which is left as it was.
        example: one image (1, channels, height, width).
    """
    owner: dict[Any, nn.Module] = {}

    def note(layer: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            owner[output.grad_fn] = layer

    with looked_at(model), torch.enable_grad():
        model.requires_grad_(True)
        # torch-pruning ran the image without its batch first, and with it only where that failed. Recorded ledgers hold
        # the FLOPs of that, and are reproduced; so a second run after one that worked is not counted.
        uncounted: AbstractContextManager[object] = nullcontext()
        with suppress(Exception):
            model(example[0])
            uncounted = _disable_current_modes()
        hooks = [layer.register_forward_hook(note) for layer in model.modules() if isinstance(layer, LAYERS)]
        try:
            with uncounted:
                scores = model(example)
        finally:
            for hook in hooks:
                hook.remove()
    found: dict[nn.Module, None] = {}
    visited: set[Any] = set()
    noticed: set[Any] = set()

    def notice(step: Any) -> None:
        if step not in noticed:
            noticed.add(step)
            if step in owner:
                found.setdefault(owner[step])

    waiting = [scores.grad_fn]
    while waiting:
        step = waiting.pop()
        if step is None or step in visited:
            continue
        visited.add(step)
        notice(step)
        for before, _ in step.next_functions:
            if before is not None:
                notice(before)
                waiting.append(before)
    return [*found, *(layer for layer in model.modules() if isinstance(layer, LAYERS) and layer not in found)]
