"""Finds which channels depend on which from marks that are put on them, and holds what a network showed.

Channels' numbers are spelled by marks (`trainables.channels.marks`) in the images of a batch. All layers mark their
outputs at once: other images, one for each layer in which it alone marks all its channels, tell which layers reach an
input channel at all, and if several do and the images spell one number, it is the number of each. Where they do not,
the layers mark alone. If a channel depends on several of one layer's, both images of some bits are marked, and
it is connected to every channel whose number fits in several orders. This counts too many rather than too few.

A layer whose own channels are all connected so can lose none, and ties nothing to it: a gate of one channel,
`x * k(x).sigmoid()`, or the queries of attention with one head would else make one unit of all channels that they meet.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from trainables.channels.marks import bits_of, fitting, numbered, numberings, read_numbers
from trainables.channels.operators import Key, Port, Slot

OUTPUT: Key = ("scores",)
Row = Mapping[Key, Tensor]  # the channels that are marked in one image (channels,), by the port that makes them
MIXED = "its channels are mixed with each other outside of layers"
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

    def unread(self) -> set[int]:
        """Returns the ids of the tensors whose values make no difference to a pass without the layers' arithmetic."""
        return {id(slot.tensor) for key in self.mixing for slot in self.ports[key].slots} - self.touched


def connect(seen: Seen, run: Callable[[Sequence[Row]], dict[Key, Tensor]]) -> None:
    """Finds the links between ports.

    Args:
        seen: what the network showed; links are added.
        run: runs the network on these images, and returns by port which of them arrived marked in which channels
            (images, channels).
    """
    if seen.makers:
        _Reading(seen, run).connect()


class _Reading:
    """Reads links from marks, in as few passes as it takes.

    First all makers spell at once, in the channels' order. Where a port's channel then spells one number, it is linked.
    Say makers A and B have four channels each, which are added: every channel of the sum spells its own number, and is
    linked with that of A and that of B. What spells no number is left for one of two further readings.

    Attributes:
        several: makers, ports, and those channels of the ports that depend on several channels of the maker.
        unclear: makers of which some channel depends beside another maker, without that the two spell one number.
        apart: by port, the channels of which that is so.
    """

    def __init__(self, seen: Seen, run: Callable[[Sequence[Row]], dict[Key, Tensor]]) -> None:
        self._seen, self._run = seen, run
        self._sizes = {key: seen.ports[key].size for key in seen.makers}
        self._bits = max(map(bits_of, self._sizes.values()))
        self._orders = numberings(self._bits)
        self._spelled: dict[Key, Tensor] = {}  # by port, which images of the first spelling arrived in which channels
        self.several: list[tuple[Key, Key, Tensor]] = []
        self.unclear: dict[Key, None] = {}
        self.apart: dict[Key, Tensor] = {}

    def connect(self) -> None:
        self._read_together()
        if any(bool(which.any()) for _, _, which in self.several):
            self._read_in_other_orders()
        if self.unclear:
            self._read_alone()

    def _read_together(self) -> None:
        """Links what spells one number, and notes what does not."""
        seen, makers = self._seen, len(self._sizes)
        alone = [{key: torch.ones(size, dtype=torch.bool)} for key, size in self._sizes.items()]
        for port, images in self._run([*alone, *_spelled(self._sizes, self._orders[0], self._bits)]).items():
            reaches, self._spelled[port] = (
                images[:makers],
                images[makers:],
            )  # the port's channels that each maker reaches
            numbers, single, full = read_numbers(self._spelled[port], self._bits)
            count = reaches.sum(0)
            apart = self.apart[port] = (count > 1) & ~single & ~full
            # A loose tensor's channels that depend on several of one maker's lie along another of its dimensions.
            aside = (count == 1) if port in seen.loose else torch.zeros_like(single)
            for row in reaches.any(1).nonzero().flatten().tolist():
                key, reached = seen.makers[row], reaches[row]
                exact = reached & single & (numbers < self._sizes[key])
                _link(seen, key, port, numbers[exact], exact.nonzero().flatten())
                self.several.append((key, port, reached & ~exact & ~apart & ~aside))
                if bool((reached & apart).any()):
                    self.unclear.setdefault(key)

    def _read_in_other_orders(self) -> None:
        """Links channels that depend on several of one maker's with all whose numbers fit in each order.

        Channels 1 and 2 together mark both images of both bits, as 0 and 3 do; in another order they are told apart.
        """
        bits = self._bits
        others = self._run([row for order in self._orders[1:] for row in _spelled(self._sizes, order, bits)])
        for key, port, which in self.several:
            if bool(which.any()):
                shown = [self._spelled[port], *torch.split(others[port], 2 * bits)]
                _link_fitting(self._seen, key, port, shown, self._orders, which, bits)

    def _read_alone(self) -> None:
        """Lets each maker that is unclear spell alone, in every order, so that no other spells over it.

        Channel 1 of one and channel 2 of another, added, spell both bits of each image, which is no number of either.
        """
        bits, orders = self._bits, self._orders
        rows = [
            row for key in self.unclear for order in orders for row in _spelled({key: self._sizes[key]}, order, bits)
        ]
        for port, images in self._run(rows).items():
            for key, lone in zip(self.unclear, torch.split(images, len(orders) * 2 * bits), strict=True):
                shown = list(torch.split(lone, 2 * bits))
                wanted = self.apart.get(port, torch.ones(lone.shape[1], dtype=torch.bool)) & shown[0].any(0)
                _link_fitting(self._seen, key, port, shown, orders, wanted, bits)


def untie(seen: Seen) -> None:
    """Drops the links of makers whose channels are all connected by these links; the ports say why they stay.

    What a removal of others then does to the network is tried before anything is removed. Links to the scores stay.
    """
    own: dict[Key, list[Tensor]] = defaultdict(list)
    for maker, port, pairs in seen.links:
        if port != OUTPUT:
            own[maker].append(pairs)
    whole = {key for key in seen.makers if key in own and _is_one(seen.ports[key].size, own[key])}
    seen.links = [link for link in seen.links if link[0] not in whole or link[1] == OUTPUT]
    for key in whole:
        seen.ports[key] = replace(seen.ports[key], fixed=seen.ports[key].fixed or MIXED)


def _is_one(size: int, links: Sequence[Tensor]) -> bool:
    """Returns whether pairs (n, 2) of a maker's channels and channels of several ports connect all of the maker's."""
    others = 1 + max(int(pairs[:, 1].max()) for pairs in links)
    makers = torch.cat([pairs[:, 0] for pairs in links])
    met = torch.cat([size + number * others + pairs[:, 1] for number, pairs in enumerate(links)])
    total = size + len(links) * others
    graph = coo_matrix((np.ones(len(met), np.int8), (makers.numpy(), met.numpy())), shape=(total, total))
    return len(np.unique(connected_components(graph, directed=False)[1][:size])) == 1


def _spelled(sizes: Mapping[Key, int], order: Tensor, bits: int) -> list[Row]:
    """Returns 2 × bits images in which makers with so many channels spell their channels' numbers in an order."""
    marks = numbered(order, bits)
    return [{key: image[:size] for key, size in sizes.items()} for image in marks]


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
