"""Counts the FLOPs of lost work: epochs that a process had begun before it was lost, and that were begun again."""

import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainables.storage import Folder


@dataclass(frozen=True)
class LostWork:
    """Notes each epoch that an attempt at a recipe begins, in a file of its own.

    Attributes:
        folder: trials/<id>/attempts.
        number: number of this attempt; the first is 1.
    """

    folder: Folder
    number: int

    @classmethod
    def next(cls, folder: Folder) -> "LostWork":
        """Makes the next attempt, whose number is one more than the largest of those that began an epoch."""
        return cls(folder, 1 + max((attempt for attempt, _ in _begun(folder)), default=0))

    def begin(self, epoch: int) -> None:
        """Notes that an epoch, counted from 1, begins, and on which host."""
        self.folder.write(f"{self.number}-{epoch}", f"{socket.gethostname()}\n".encode())

    def lost_flops(self, history: Sequence[Mapping[str, Any]], inherited: float, prepared: float) -> float:
        """Returns an upper bound of the FLOPs that were spent and lost, for a recipe that has finished.

        Each time that an epoch was begun, but for the last, counts as a whole epoch, wherever the process ended in it.
        Each attempt also prepared once: it pruned, calibrated and computed soft labels.

        Args:
            history: a row for each epoch, with the `end_to_end_flops` up to its end.
            inherited: end-to-end FLOPs of the recipe's bases and teachers.
            prepared: FLOPs of preparing once.
        """
        totals = [inherited + prepared, *(row["end_to_end_flops"] for row in history)]
        times = Counter(epoch for _, epoch in _begun(self.folder))
        repeated = sum((times[epoch] - 1) * (totals[epoch] - totals[epoch - 1]) for epoch in times)
        return float((self.number - 1) * prepared + repeated)


def _begun(folder: Folder) -> list[tuple[int, int]]:
    """Returns the attempt and the epoch of each note in the folder."""
    parts = [name.split("-") for name in folder.names()]
    return [(int(attempt), int(epoch)) for attempt, epoch in parts]
