"""Remembers what the analysis of a network found, for other networks that are alike.

A plan and the try of a network prune one network in many ways, and the trials of a worker begin with one base.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from trainables.channels.connections import Seen
from trainables.channels.groups import Group, Member
from trainables.channels.operators import Key, Port
from trainables.compute.counter import FlopCounter
from trainables.pruning.prunable import Prunable

REMEMBERED = 30  # analyses; some hundred kilobytes each
_OF_MODULES = frozenset(vars(nn.Module()))  # attributes that every module has


@dataclass(frozen=True)
class _Analysis:
    """What was found, with tensors without values in the place of the network's own.

    Attributes:
        values: digest of the tensors whose values decide what is found.
        read: names of these tensors.
        prunable: what was found.
        tensors: the tensors in it, by name.
        counter: the FLOPs that the analysis is charged with.
    """

    values: bytes
    read: frozenset[str]
    prunable: Prunable
    tensors: Mapping[str, Tensor]
    counter: FlopCounter


_KNOWN: dict[str, _Analysis] = {}  # by architecture


def recalled(model: nn.Module, example: Tensor) -> Prunable | None:
    """Returns what the analysis of a network would find, if it is known from one that is alike; else None.

    The FLOPs of the analysis are charged as if it were made now.

    Args:
        model: the network.
        example: one image (1, channels, height, width).
    """
    known = _KNOWN.get(architecture(model, example))
    if known is None or _digest(model, known.read) != known.values:
        return None
    own = dict(_named(model))
    known.counter.charge_to_outer()
    return _moved(known.prunable, {id(tensor): own[name] for name, tensor in known.tensors.items()})


def remember(model: nn.Module, example: Tensor, prunable: Prunable, counter: FlopCounter) -> None:
    """Remembers what the analysis of a network found.

    Args:
        model: the network.
        example: one image (1, channels, height, width).
        prunable: what was found.
        counter: the FLOPs that the analysis is charged with.
    """
    seen, named = prunable.seen, dict(_named(model))
    unread = seen.unread()
    read = frozenset(name for name, tensor in named.items() if id(tensor) not in unread)
    empty = {id(tensor): torch.empty_like(tensor, device="meta") for tensor in named.values()}
    tensors = {name: empty[id(tensor)] for name, tensor in named.items()}
    if len(_KNOWN) >= REMEMBERED:
        _KNOWN.clear()
    without = replace(prunable, seen=replace(seen, links=[]))  # they have become groups
    _KNOWN[architecture(model, example)] = _Analysis(
        _digest(model, read), read, _moved(without, empty), tensors, counter
    )


def architecture(model: nn.Module, example: Tensor) -> str:
    """Returns a text that is equal for networks of the same classes, settings, shapes and shared tensors."""
    parts = [f"{tuple(example.shape)} {example.dtype} {example.device}"]
    first: dict[int, str] = {}
    for name, module in model.named_modules(remove_duplicate=False):
        parts.append(f"{name} {type(module).__module__}.{type(module).__qualname__} {id(type(module))}")
        of_torch = type(module).__module__.startswith("torch.nn.")
        for one, value in sorted(vars(module).items()):
            if one not in _OF_MODULES and not (of_torch and one[0] == "_") and not isinstance(value, Tensor):
                parts.append(f"{one}={value!r}")
        parts += [repr(hook) for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())]
        for one, tensor in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)):
            parts.append(f"{one} {tuple(tensor.shape)} {tensor.dtype} {first.setdefault(id(tensor), f'{name}.{one}')}")
    return "\n".join(parts)


def _named(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Returns all tensors of a network by name, also those that are neither parameters nor buffers."""
    for name, module in model.named_modules(remove_duplicate=False):
        for held in (module._parameters, module._buffers, vars(module)):
            for one, tensor in held.items():
                if isinstance(tensor, Tensor):
                    yield f"{name}.{one}", tensor


def _digest(model: nn.Module, names: frozenset[str]) -> bytes:
    digest = hashlib.blake2b()
    for name, tensor in _named(model):
        if name in names:
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            if tensor.layout is torch.strided and not tensor.is_quantized:
                plain = tensor.detach().resolve_conj().resolve_neg().cpu().contiguous()
                digest.update(plain.flatten().view(torch.uint8).numpy().tobytes())
            else:
                digest.update(repr(tensor).encode())
    return digest.digest()


def _moved(prunable: Prunable, tensors: Mapping[int, Tensor]) -> Prunable:
    """Returns the same of a network that has these tensors in the place of those with these ids."""

    def key(one: Key) -> Key:
        return (id(tensors[one[0]]), *one[1:]) if isinstance(one[0], int) and one[0] in tensors else one

    def port(one: Port) -> Port:
        slots = tuple(replace(slot, tensor=tensors[id(slot.tensor)]) for slot in one.slots)
        return replace(one, key=key(one.key), slots=slots)

    def member(one: Member) -> Member:
        return replace(one, port=port(one.port))

    def group(one: Group) -> Group:
        return replace(one, root=key(one.root), members=tuple(map(member, one.members)))

    old = prunable.seen
    seen = Seen(
        ports={key(one): port(value) for one, value in old.ports.items()},
        makers=[key(one) for one in old.makers],
        readers={key(one) for one in old.readers},
        mixing={key(one) for one in old.mixing},
        links=[(key(one), key(other), pairs) for one, other, pairs in old.links],
        loose={key(one) for one in old.loose},
        touched={id(tensors[one]) for one in old.touched},
        classes=old.classes,
        modes=old.modes,
    )
    return Prunable(seen, {name: group(one) for name, one in prunable.groups.items()}, prunable.left_alone)
