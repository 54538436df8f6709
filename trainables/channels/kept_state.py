"""Keeps what a network's modules hold as it is while the network runs: a look at a network must not change it.

A user's module may change whatever it likes in a pass, such as running statistics, a codebook or a counter. So nothing
is asked about what its class is.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_OF_TORCH = ("_parameters", "_buffers", "_modules")  # what may change in PyTorch's own layers, which keep no counters


@contextmanager
def state_kept(model: nn.Module, *, parameters: bool) -> Iterator[None]:
    """Puts back at its end what all modules of a network hold: buffers, tensors, numbers, lists and generators.

    Args:
        model: the network.
        parameters: put back the values of parameters too, which takes a copy of them. Which parameters there are is put
            back in any case.
    """
    held = _Held(parameters=parameters)
    held.note(model)
    try:
        yield
    finally:
        held.put_back()


class _Held:
    """What was found in modules and in the containers that they hold, with copies."""

    def __init__(self, *, parameters: bool) -> None:
        self._parameters = parameters
        self._noted: dict[int, Any] = {}  # what was gone through, by id, so that no other object gets the id
        self._tensors: list[tuple[Tensor, Tensor]] = []
        self._generators: list[tuple[torch.Generator, Tensor]] = []
        self._containers: list[tuple[Any, Any]] = []

    def note(self, value: Any) -> None:
        """Copies a value, and all that it holds; numbers and whatever else cannot change are held by their names."""
        if id(value) in self._noted:
            return
        if isinstance(value, nn.Module):
            self._noted[id(value)] = value
            of_torch = type(value).__module__.startswith("torch.nn.")
            for held in (vars(value)[name] for name in _OF_TORCH) if of_torch else (vars(value),):
                self.note(held)
        elif isinstance(value, Tensor):
            self._noted[id(value)] = value
            if not _is_expanded(value) and (self._parameters or not isinstance(value, nn.Parameter)):
                self._tensors.append((value, value.detach().clone()))
        elif isinstance(value, torch.Generator):
            self._noted[id(value)] = value
            self._generators.append((value, value.get_state()))
        elif isinstance(value, dict | list | set | deque):
            self._noted[id(value)] = value
            self._containers.append((value, dict(value) if isinstance(value, dict) else list(value)))
            for one in value.values() if isinstance(value, dict) else value:
                self.note(one)
        elif isinstance(value, tuple):
            for one in value:
                self.note(one)

    def put_back(self) -> None:
        """Gives everything that was noted the value that it had."""
        for container, before in self._containers:
            container.clear()
            if isinstance(container, list | deque):
                container.extend(before)
            else:
                container.update(before)
        with torch.no_grad():
            for tensor, values in self._tensors:
                tensor.copy_(values)
        for generator, state in self._generators:
            generator.set_state(state)


def _is_expanded(tensor: Tensor) -> bool:
    """Returns whether several entries of a tensor are one number in memory, so that it cannot be written in place."""
    if tensor.layout is not torch.strided:
        return False
    return any(step == 0 and size > 1 for step, size in zip(tensor.stride(), tensor.shape, strict=True))
