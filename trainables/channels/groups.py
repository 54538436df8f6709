"""Divides the channels of a network into groups of layers, and the channels of a group into units.

A unit is a set of channels, of all the layers that they run through, that can only be removed together. A group holds
the units that begin in one layer.
"""

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from trainables.channels.connections import MIXED, OUTPUT, Seen
from trainables.channels.operators import UNEVEN, Key, Port, lowest_common_multiple

SCORES = "it makes the scores"
BY_GROUP = ("out", "in", "attention")  # kinds of ports whose groups must stay of one size


@dataclass(frozen=True)
class Member:
    """The channels of one port that belong to a group.

    Attributes:
        port: the port.
        channels: numbers of the channels (n,), ascending.
        units: the unit of each channel (n,).
        makes: whether these are output channels of a layer, and not channels that it reads or that pass through.
    """

    port: Port
    channels: Tensor
    units: Tensor
    makes: bool


@dataclass(frozen=True)
class KeptNumber:
    """A number that a module of the network keeps: the width of a group's first layer, or the number of its units.

    Attributes:
        module: name of the module.
        name: name of its attribute.
        counts_units: whether it is the number of units (of heads, say), and not of channels.
    """

    module: str
    name: str
    counts_units: bool


@dataclass(frozen=True)
class Group:
    """Channels of several layers that are removed together.

    Attributes:
        root: key of the port that the group begins with.
        units: number of units, numbered in the order of the root's channels.
        parts: number of equal parts that the units are divided into; each loses the same units.
        members: the channels, the root's first.
        fixed: why none can be removed; empty if some can.
        numbers: numbers that the network's code keeps and that must change with the group.
    """

    root: Key
    units: int
    parts: int
    members: tuple[Member, ...]
    fixed: str
    numbers: tuple[KeptNumber, ...] = ()

    def removed(self, units: Tensor) -> dict[Key, Tensor]:
        """Returns by port the channels that go with these units."""
        goes = torch.zeros(self.units, dtype=torch.bool)
        goes[units] = True
        return {member.port.key: gone for member in self.members if len(gone := member.channels[goes[member.units]])}

    def in_all_parts(self, positions: Tensor) -> Tensor:
        """Returns the units with these positions in each of the group's parts, ascending."""
        width = self.units // self.parts
        return torch.cat([positions + part * width for part in range(self.parts)]).sort()[0]

    def new_numbers(self, units: Tensor) -> dict[tuple[str, str], int]:
        """Returns the numbers that the network's code keeps, by module and name, as they are without these units."""
        root = self.members[0]
        width = root.port.size - int(torch.isin(root.units, units).sum())
        left = self.units - len(units)
        return {(one.module, one.name): left if one.counts_units else width for one in self.numbers}


def groups_of(seen: Seen, roots: Iterable[Key], fixed: Mapping[Key, str]) -> list[Group]:
    """Forms the groups of a network.

    Args:
        seen: what the network showed.
        roots: keys of the ports that a group may begin with, in the order in which groups are formed.
        fixed: why channels of these ports cannot be removed, beside what the ports say themselves.
    """
    ports = {**seen.ports, OUTPUT: Port(OUTPUT, seen.classes, fixed=SCORES)}
    starts, total = {}, 0
    for key, port in ports.items():
        starts[key], total = total, total + port.size
    component = _components(seen, starts, total)
    by_component = np.argsort(component, kind="stable")
    edges = np.searchsorted(component[by_component], np.arange(component.max() + 2))
    keys, first = list(ports), np.array(list(starts.values()))
    makers, done, groups = set(seen.makers), set[Key](), []
    for root in roots:
        if root in done or root not in ports:
            continue
        own = component[starts[root] : starts[root] + ports[root].size]
        unit_of = {int(one): None for one in own}
        numbers = {one: number for number, one in enumerate(unit_of)}
        nodes = np.concatenate([by_component[edges[one] : edges[one + 1]] for one in numbers])
        owners = np.searchsorted(first, nodes, side="right") - 1
        members = []
        for index in sorted(set(owners.tolist()), key=lambda index: (keys[index] != root, index)):
            key = keys[index]
            channels = np.sort(nodes[owners == index] - first[index])
            units = [numbers[int(one)] for one in component[first[index] + channels]]
            members.append(Member(ports[key], torch.from_numpy(channels), torch.tensor(units), key in makers))
        done |= {member.port.key for member in members if member.makes}
        groups.append(_group(root, len(numbers), members, fixed, seen.readers))
    return groups


def _group(root: Key, units: int, members: list[Member], known: Mapping[Key, str], readers: Set[Key]) -> Group:
    parts = lowest_common_multiple([member.port.groups for member in members])
    told = [member.port.fixed or known.get(member.port.key, "") for member in members]
    fixed = SCORES if SCORES in told else next((reason for reason in told if reason), "")
    if not fixed and units == 1:
        fixed = MIXED
    # A weight that one layer makes channels with, and a product reads them with, is one port for both.
    if not fixed and all(member.makes and member.port.key not in readers for member in members):
        fixed = "no other layer reads its outputs"
    if not fixed and units % parts:
        fixed = f"its {units} channels cannot be divided into {parts} equal parts"
    if not fixed and units == parts:
        fixed = "each of its groups has one channel"
    if not fixed and not all(_alike_in_its_groups(member, units // parts) for member in members):
        fixed = UNEVEN
    return Group(root, units, parts, tuple(members), fixed)


def _alike_in_its_groups(member: Member, width: int) -> bool:
    """Returns whether every removal takes equally many channels from each group of a convolution, or from each head.

    A removal takes the same units from each of a group's parts. The channels of a grouped convolution that are joined
    with others, as in a dense block, may all lie in one of these parts. Group normalization of joined channels divides
    those that stay anew, and asks for a number of them that can be divided.

    Args:
        member: the channels of a layer.
        width: number of units of each part.
    """
    port = member.port
    if port.groups == 1:
        return True
    numbers = torch.zeros(port.groups, width)
    places = member.channels // (port.size // port.groups), member.units % width
    numbers.index_put_(places, torch.ones(len(member.channels)), accumulate=True)
    alike = numbers == numbers[0] if port.kind in BY_GROUP else numbers.sum(0) % port.groups == 0
    return bool(alike.all())


def _components(seen: Seen, starts: dict[Key, int], total: int) -> NDArray[np.int64]:
    rows, columns = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for one, other, pairs in seen.links:
        if one not in starts or other not in starts:
            continue  # a tensor that turned out to belong to an operator
        rows.append(starts[one] + pairs[:, 0].numpy())
        columns.append(starts[other] + pairs[:, 1].numpy())
    row, column = np.concatenate(rows), np.concatenate(columns)
    graph = coo_matrix((np.ones(len(row), np.int8), (row, column)), shape=(total, total))
    found: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return found
