"""What a recipe cost beyond the lineage of its weights: epochs that a lost process had begun, and begins again."""

import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.storage import Folder


@dataclass(frozen=True)
class LostWork:
    """Notes each epoch that an attempt begins, in a file of its own; the first attempt is number 1.

    Attributes:
        folder: trials/<id>/attempts.
        number: of this attempt.
    """

    folder: Folder
    number: int

    @classmethod
    def next(cls, folder: Folder) -> "LostWork":
        """One more than those that have begun an epoch before."""
        return cls(folder, 1 + max((attempt for attempt, _ in _begun(folder)), default=0))

    def begin(self, epoch: int) -> None:
        """Note that an epoch, counted from 1, begins, and on which host."""
        self.folder.write(f"{self.number}-{epoch}", f"{socket.gethostname()}\n".encode())

    def lost_flops(self, history: Sequence[Mapping[str, Any]], inherited: float, prepared: float) -> float:
        """FLOPs of work that was done and lost, for a recipe that is finished now.

        An epoch counts whole each time that it was begun but the last, wherever in it the process ended: an upper
        bound. Each attempt prepared (pruned, calibrated, made soft labels) once.

        Args:
            history: a row an epoch, with `end_to_end_flops` at its end.
            inherited: end-to-end FLOPs of what the recipe builds on.
            prepared: FLOPs of preparing.
        """
        totals = [inherited + prepared, *(row["end_to_end_flops"] for row in history)]
        times = Counter(epoch for _, epoch in _begun(self.folder))
        repeated = sum((times[epoch] - 1) * (totals[epoch] - totals[epoch - 1]) for epoch in times)
        return float((self.number - 1) * prepared + repeated)


def _begun(folder: Folder) -> list[tuple[int, int]]:
    """Attempt and epoch of everything that was begun."""
    parts = [name.split("-") for name in folder.names()]
    return [(int(attempt), int(epoch)) for attempt, epoch in parts]
