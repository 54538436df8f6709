"""Says how many trials a cluster has room for, as its nodes come and go."""

import time
from collections.abc import Callable, Mapping, Sequence

from cluster.placement.placement import Node, Placement, overflow, slots
from trainables.errors import InvalidInput

LOOKED = 2.0  # seconds for which a list of the cluster's nodes is used before Ray is asked again


def nodes() -> list[Node]:
    """Returns the living nodes of the Ray cluster that this process has joined."""
    import ray

    alive = [one for one in ray.nodes() if one["Alive"]]
    return [Node(dict(one["Resources"]), dict(one.get("Labels") or {}), one["NodeID"]) for one in alive]


class Room:
    """Says whether one more trial may begin, given the nodes that the cluster has at that moment."""

    def __init__(
        self,
        *,
        at_most: int | None = None,
        pending: int = 0,
        look: Callable[[], Sequence[Node]] = nodes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Looks at the cluster for the first time.

        Args:
            at_most: the most trials at once, whatever the nodes have; None: no such limit.
            pending: trials that may wait for nodes that an autoscaler is to start.
            look: returns the nodes.
            clock: returns the time in seconds.
        """
        self._at_most, self._pending, self._look, self._clock = at_most, pending, look, clock
        self._seen, self._seen_at = list(look()), clock()

    @property
    def nodes(self) -> Sequence[Node]:
        """The nodes as they were two seconds ago at most."""
        if self._clock() - self._seen_at >= LOOKED:
            self._seen, self._seen_at = list(self._look()), self._clock()
        return self._seen

    def slots(self, placement: Placement) -> int:
        """Returns how many trials of one placement may run at once."""
        total = slots(self.nodes, placement)
        return total if self._at_most is None else min(total, self._at_most)

    def check(self, placement: Placement, key: str = "resources") -> None:
        """Refuses a placement that no trial could run with.

        Args:
            placement: what one trial takes.
            key: the study's key that the message names.

        Raises:
            InvalidInput: no such trial fits on a node that is there, and none may wait for another node.
        """
        if not self._pending and not slots(self.nodes, placement):
            have = "; ".join(map(str, self.nodes))
            raise InvalidInput(f"{key}: got {placement} a trial, expected what a node has ({have})")

    def has_place(self, running: Mapping[Placement, int], one_more: Placement) -> bool:
        """Returns whether one more trial may begin beside the others.

        Args:
            running: how many trials of each placement run or wait.
            one_more: the placement of the trial that is to begin, at once or after it has waited for a node.
        """
        total = 1 + sum(running.values())
        if self._at_most is not None and total > self._at_most:
            return False
        return overflow(self.nodes, {**running, one_more: 1 + running.get(one_more, 0)}) <= self._pending
