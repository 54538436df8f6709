"""The room that a cluster has for trials, as nodes come and go."""

import time
from collections.abc import Callable, Mapping, Sequence

from cluster.placement.placement import Node, Placement, overflow, slots
from trainables.errors import InvalidInput

LOOKED = 2.0  # seconds for which what was seen of the cluster holds


def nodes() -> list[Node]:
    """The nodes that are alive, of the Ray cluster that this process has joined."""
    import ray

    alive = [one for one in ray.nodes() if one["Alive"]]
    return [Node(dict(one["Resources"]), dict(one.get("Labels") or {}), one["NodeID"]) for one in alive]


class Room:
    """Says whether one more trial may begin: it follows the nodes that are there."""

    def __init__(
        self,
        *,
        at_most: int | None = None,
        pending: int = 0,
        look: Callable[[], Sequence[Node]] = nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        at_most: trials at once, whatever there is.
        pending: trials that may wait for nodes that an autoscaler is to start.
        look: finds the nodes.
        clock: in seconds.
        """
        self._at_most, self._pending, self._look, self._clock = at_most, pending, look, clock
        self._seen, self._seen_at = list(look()), clock()

    @property
    def nodes(self) -> Sequence[Node]:
        """As they were a moment ago."""
        if self._clock() - self._seen_at >= LOOKED:
            self._seen, self._seen_at = list(self._look()), self._clock()
        return self._seen

    def slots(self, placement: Placement) -> int:
        """Trials of one placement at once."""
        total = slots(self.nodes, placement)
        return total if self._at_most is None else min(total, self._at_most)

    def check(self, placement: Placement, key: str = "resources") -> None:
        """Raises InvalidInput if not one such trial fits on a node that is there, nor may wait for another."""
        if not self._pending and not slots(self.nodes, placement):
            have = "; ".join(map(str, self.nodes))
            raise InvalidInput(f"{key}: got {placement} a trial, expected what a node has ({have})")

    def has_place(self, running: Mapping[Placement, int], one_more: Placement) -> bool:
        """Whether one more trial finds a place, or may wait for one, beside those that run or wait."""
        total = 1 + sum(running.values())
        if self._at_most is not None and total > self._at_most:
            return False
        return overflow(self.nodes, {**running, one_more: 1 + running.get(one_more, 0)}) <= self._pending
