"""Removes channels from a network's tensors, and can put them back."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainables.channels.groups import BY_GROUP
from trainables.channels.operators import Key, Port, Slot, kept_of_group, positions
from trainables.models.module_sizes import change_number, fit_sizes, forget_number, save_buffer


class Removal:
    """Channels taken out of a network, in place, until `undo` is called.

    New tensors take the place of the old ones wherever a module holds them, so that shared ones stay shared. Sizes that
    modules keep as numbers follow their tensors. A buffer that was not saved, because the network's code makes it, is
    saved from then on, because the code makes the whole one.
    """

    def __init__(
        self,
        model: nn.Module,
        ports: Mapping[Key, Port],
        removed: Mapping[Key, Tensor],
        numbers: Mapping[tuple[str, str], int],
        unread: Collection[int] = (),
    ) -> None:
        """Takes channels out.

        Args:
            model: the network.
            ports: its ports.
            removed: numbers of the channels to remove, by port.
            numbers: new values of numbers that modules keep, by the module's and the attribute's name.
            unread: ids of tensors that get any values, since nobody will read them, which is much quicker.

        Raises:
            ValueError: the groups of a convolution would have different numbers of channels, or a layer none.
        """
        self._model = model
        self._sizes = [(module, _numbers(module)) for module in model.modules()]
        self._tensors: list[tuple[nn.Module, str, Tensor]] = []
        self._newly_saved: list[tuple[nn.Module, str]] = []
        fresh = _narrowed(ports, removed, unread)
        for module in model.modules():
            for held in (module._parameters, module._buffers):
                for name, old in list(held.items()):
                    if old is not None and id(old) in fresh:
                        self._tensors.append((module, name, old))
                        held[name] = fresh[id(old)]  # type: ignore[assignment]
                        if save_buffer(module, name):
                            self._newly_saved.append((module, name))
        _refresh_recurrent(module for module, _, _ in self._tensors)
        self._changed: list[tuple[nn.Module, str, Tensor | None]] = []
        for (module_name, name), value in numbers.items():
            module = model.get_submodule(module_name)
            self._changed.append((module, name, change_number(module, name, value)))
        fit_sizes(model)

    def undo(self) -> None:
        """Puts every tensor and every number back."""
        for module, name, old in self._tensors:
            held: dict[str, Any] = module._parameters if name in module._parameters else module._buffers
            held[name] = old
        for module, name in self._newly_saved:
            module._non_persistent_buffers_set.add(name)
        _refresh_recurrent(module for module, _, _ in self._tensors)
        for module, name, before in self._changed:
            forget_number(module, name, before)
        for module, numbers in self._sizes:
            vars(module).update(numbers)


def _narrowed(ports: Mapping[Key, Port], removed: Mapping[Key, Tensor], unread: Collection[int]) -> dict[int, Tensor]:
    """Returns the tensors without the removed channels, by the ids of those that they replace."""
    by_tensor: dict[int, list[tuple[Slot, Tensor, int]]] = {}
    for key, gone in removed.items():
        port = ports[key]
        kept = torch.tensor(sorted(set(range(port.size)) - set(gone.tolist())), dtype=torch.long)
        if not len(kept):
            raise ValueError("a layer would lose all of its channels")
        if port.groups > 1 and port.kind in BY_GROUP:
            kept_of_group(kept, port.size, port.groups)
        for slot in port.slots:
            by_tensor.setdefault(id(slot.tensor), []).append((slot, kept, port.size))
    fresh: dict[int, Tensor] = {}
    for identity, changes in by_tensor.items():
        tensor = changes[0][0].tensor
        value = tensor.detach()
        if identity in unread:
            value = torch.empty_like(value, device="meta")
        # A grouped convolution reads by group, so its input channels go first, while its output channels are complete.
        for slot, kept, size in sorted(changes, key=lambda change: change[0].groups, reverse=True):
            if slot.groups > 1:
                value = _by_group(value, slot, kept, size)
            else:
                value = value.index_select(slot.dim, positions(slot, kept, size).to(value.device))
        if identity in unread:
            value = torch.empty_like(value, device=tensor.device)
        fresh[identity] = nn.Parameter(value, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else value
    return fresh


def _by_group(value: Tensor, slot: Slot, kept: Tensor, size: int) -> Tensor:
    parts = kept_of_group(kept, size, slot.groups)
    rows = value.chunk(slot.groups, 0)
    return torch.cat([row.index_select(1, part.to(value.device)) for row, part in zip(rows, parts, strict=True)], 0)


def _numbers(module: nn.Module) -> dict[str, Any]:
    """Returns the numbers and tuples that a module keeps, among them its sizes."""
    return {name: value for name, value in vars(module).items() if isinstance(value, int | tuple)}


def _refresh_recurrent(modules: Iterable[nn.Module]) -> None:
    """Lets recurrent layers, which keep a list of their weights, see the new ones."""
    for module in modules:
        if isinstance(module, nn.RNNBase):
            module._flat_weights = [getattr(module, name) for name in module._flat_weights_names]
