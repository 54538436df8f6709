"""Finds which channels depend on which from marks that are put on them, and holds what a network showed.

Channels' numbers are spelled by marks (`trainables.channels.marks`) in the images of a batch. All layers mark their
outputs at once: another pass, in which each layer marks all its channels in an image of its own, has told which layers
reach an input channel at all, and if several do and the images spell one number, it is the number of each. Where they
do not, the layers mark alone. If a channel depends on several of one layer's, both images of some bits are marked, and
it is connected to every channel whose number fits in several orders. This counts too many rather than too few.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from trainables.channels.marks import BATCH, bits_of, fitting, mark, numbered, numberings, read_numbers
from trainables.channels.operators import Key, Port, Slot

OUTPUT: Key = ("scores",)
COMPUTED = "a weight or bias is computed from other tensors in each pass"


@dataclass
class Seen:
    """What a network showed.

    Attributes:
        ports: every end of a weighted operator by its key, and every dimension of other tensors that met a value.
        makers: keys of the ports whose channels an operator makes, in the order of their first use.
        readers: keys of the ports whose channels an operator reads that makes others of them.
        mixing: keys of the ports of operators that are replaced by made-up numbers, so that no value of theirs is read.
        links: pairs of ports and of their channels (n, 2) that belong together.
        loose: keys of ports of parameters and buffers that no weighted operator holds.
        touched: ids of the parameters and buffers that were used outside of weighted operators.
        classes: number of scores.
        modes: whether the network was in training in each way that it was run; it is run in training too where it then
            uses other layers, such as auxiliary heads.
    """

    ports: dict[Key, Port] = field(default_factory=dict)
    makers: list[Key] = field(default_factory=list)
    readers: set[Key] = field(default_factory=set)
    mixing: set[Key] = field(default_factory=set)
    links: list[tuple[Key, Key, Tensor]] = field(default_factory=list)
    loose: set[Key] = field(default_factory=set)
    touched: set[int] = field(default_factory=set)
    classes: int = 0
    modes: tuple[bool, ...] = (False,)


def connect(seen: Seen, run: Callable[[Mapping[Key, Tensor]], dict[Key, Tensor]]) -> None:
    """Finds the links between ports; `run` runs the network with these marks (images, channels) in the outputs."""
    sizes = {key: seen.ports[key].size for key in seen.makers}
    if not sizes:
        return
    reaches: dict[Key, dict[Key, Tensor]] = {}  # by port and maker: the port's channels that the maker reaches
    for start in range(0, len(seen.makers), BATCH):
        some = seen.makers[start : start + BATCH]
        arrived = run({key: mark({row: torch.ones(sizes[key])}) for row, key in enumerate(some)})
        for port, images in arrived.items():
            for row, key in enumerate(some):
                if bool(images[row].any()):
                    reaches.setdefault(port, {})[key] = images[row]
    bits = max(map(bits_of, sizes.values()))
    orders = numberings(bits)
    spelled = [run({key: numbered(orders[0][:size], 0, bits) for key, size in sizes.items()})]
    unclear: dict[Key, None] = {}
    doubtful: list[tuple[Key, Key, Tensor]] = []  # makers, ports and those channels that depend on several
    pending: dict[Key, Tensor] = {}
    for port, images in spelled[0].items():
        makers = reaches.get(port, {})
        numbers, single, full = read_numbers(images[: 2 * bits], bits)
        several = torch.zeros_like(numbers)
        for reached in makers.values():
            several += reached
        apart = (several > 1) & ~single & ~full
        for key, reached in makers.items():
            exact = reached & single & (numbers < sizes[key])
            _link(seen, key, port, numbers[exact], exact.nonzero().flatten())
            doubtful.append((key, port, reached & ~exact & ~apart))
            if bool((reached & apart).any()):
                unclear.setdefault(key)
        pending[port] = apart
    if any(bool(which.any()) for _, _, which in doubtful):
        spelled += [run({key: numbered(order[:size], 0, bits) for key, size in sizes.items()}) for order in orders[1:]]
        for key, port, which in doubtful:
            shown = [arrived[port][: 2 * bits] for arrived in spelled]
            _link_fitting(seen, key, port, shown, orders, which, bits)
    for alone in _plan({key: sizes[key] for key in unclear}, bits):
        lone = [
            run({key: numbered(order[: sizes[key]], start, bits) for key, start in alone.items()}) for order in orders
        ]
        for port in lone[0]:
            for key, start in alone.items():
                shown = [arrived[port][start : start + 2 * bits] for arrived in lone]
                wanted = pending.get(port, torch.ones(shown[0].shape[1], dtype=torch.bool)) & shown[0].any(0)
                _link_fitting(seen, key, port, shown, orders, wanted, bits)


def _plan(sizes: Mapping[Key, int], bits: int) -> list[dict[Key, int]]:
    """Divides makers that mark alone over passes: in each pass, the first image of each."""
    together = BATCH // (2 * bits)
    keys = list(sizes)
    return [
        {key: 2 * bits * place for place, key in enumerate(keys[start : start + together])}
        for start in range(0, len(keys), together)
    ]


def _link(seen: Seen, maker: Key, port: Key, numbers: Tensor, columns: Tensor) -> None:
    if len(columns):
        seen.links.append((maker, port, torch.stack([numbers, columns], 1)))


def _link_fitting(
    seen: Seen, maker: Key, port: Key, shown: list[Tensor], orders: list[Tensor], which: Tensor, bits: int
) -> None:
    """Connects these channels of a port to all channels of a maker whose numbers fit their marks in every order."""
    columns = which.nonzero().flatten()
    if not len(columns):
        return
    size = seen.ports[maker].size
    alike: dict[bytes, list[int]] = {}  # channels with the same marks are connected at once
    marks = torch.cat(shown)
    for column in columns.tolist():
        alike.setdefault(marks[:, column].numpy().tobytes(), []).append(column)
    for together in alike.values():
        fits = torch.ones(size, dtype=torch.bool)
        for images, order in zip(shown, orders, strict=True):
            fits &= fitting(images[:, together[0]], order[:size], bits)
        sources, rest = fits.nonzero().flatten(), torch.tensor(together)
        if len(sources) > 1 and port in seen.loose:
            continue  # the channels of a loose tensor lie along another of its dimensions
        if len(sources):
            _link(seen, maker, port, sources, torch.full_like(sources, together[0]))
            _link(seen, maker, port, sources[:1].expand(len(rest)), rest)


def tie(seen: Seen) -> None:
    """Connects the channels of ports that have entries in one dimension of a tensor, such as a bias of two layers."""
    holders: dict[tuple[int, int], list[tuple[Port, Slot]]] = {}
    for port in seen.ports.values():
        for slot in port.slots:
            holders.setdefault((id(slot.tensor), slot.dim), []).append((port, slot))
    for (first, one), *rest in holders.values():
        for other, slot in rest:
            alike = (one.blocks, one.groups, first.size) == (slot.blocks, slot.groups, other.size)
            if alike:
                seen.links.append((first.key, other.key, torch.arange(first.size).repeat(2, 1).T))
            else:
                for port in (first, other):
                    seen.ports[port.key] = replace(seen.ports[port.key], fixed="its tensor has several uses")
