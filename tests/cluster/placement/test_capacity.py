"""Room for trials, as nodes come and go."""

import pytest

from cluster.placement.capacity import LOOKED, Room
from cluster.placement.placement import Node, Placement
from trainables.errors import InvalidInput

SHARED, WHOLE = Placement(1, 0.25), Placement(1, 1.0)


class Cluster:
    def __init__(self, *nodes: Node) -> None:
        self.nodes, self.seconds, self.looked = list(nodes), 0.0, 0

    def look(self) -> list[Node]:
        self.looked += 1
        return list(self.nodes)

    def room(self, at_most: int | None = None, pending: int = 0) -> Room:
        return Room(at_most=at_most, pending=pending, look=self.look, clock=lambda: self.seconds)


def test_what_runs_follows_nodes_that_join_and_leave() -> None:
    card = Node({"CPU": 8.0, "GPU": 1.0})
    cluster = Cluster(card)
    room = cluster.room()
    assert room.has_place({SHARED: 3}, SHARED)
    assert not room.has_place({SHARED: 4}, SHARED)
    cluster.nodes.append(card)
    assert not room.has_place({SHARED: 4}, SHARED)  # it looks every so often, not for every decision
    cluster.seconds += LOOKED
    assert room.has_place({SHARED: 7}, SHARED)
    assert not room.has_place({SHARED: 5}, WHOLE)
    assert room.has_place({SHARED: 4}, WHOLE)
    cluster.nodes.clear()
    cluster.seconds += LOOKED
    assert not room.has_place({}, SHARED)
    assert cluster.looked == 3


def test_a_limit_and_what_an_autoscaler_is_to_find_nodes_for() -> None:
    cluster = Cluster(Node({"CPU": 2.0}))
    assert cluster.room(at_most=1).slots(Placement(1)) == 1
    assert cluster.room(at_most=1).has_place({}, Placement(1))
    assert not cluster.room(at_most=1).has_place({Placement(1): 1}, Placement(1))
    assert cluster.room(pending=2).has_place({Placement(1): 3}, Placement(1))
    assert not cluster.room(pending=2).has_place({Placement(1): 4}, Placement(1))
    assert not cluster.room(at_most=3, pending=2).has_place({Placement(1): 3}, Placement(1))


def test_no_room_is_refused_with_what_there_is_unless_nodes_are_to_come() -> None:
    cluster = Cluster(Node({"CPU": 2.0, "GPU": 1.0}), Node({"CPU": 4.0}))
    with pytest.raises(InvalidInput) as refused:
        cluster.room().check(Placement(1, 3.0, (("ray.io/accelerator-type", "H100"),)), "resources.roles.base")
    assert str(refused.value) == (
        "resources.roles.base: got 1 CPU and 3 GPU where ray.io/accelerator-type=H100 a trial, "
        "expected what a node has (2 CPU, 1 GPU; 4 CPU, 0 GPU)"
    )
    cluster.room(pending=1).check(Placement(1, 3.0))
