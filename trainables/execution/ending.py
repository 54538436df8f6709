"""How a trial ended, as data: its kind decides what the sampler learns from it. Imports no torch."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class State(StrEnum):
    """Optuna's words for how a trial stands; RUNNING has no ending yet."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"
    RUNNING = "running"


class EndKind(StrEnum):
    """What ended a trial."""

    FINISHED = "finished"  # its whole schedule
    STOPPED = "stopped"  # early, by halving
    DIVERGED = "diverged"  # a training loss that is no number
    OVERFITTED = "overfitted"  # catastrophic overfitting
    NOT_FINITE = "not_finite"  # an objective that is no number
    NOT_MEASURED = "not_measured"  # an objective that this machine cannot measure
    OUT_OF_MEMORY = "out_of_memory"
    HUNG = "hung"  # an epoch that took too long
    LOST = "lost"  # a process, a node, or an error that was not foreseen
    ORPHANED = "orphaned"  # its base or its teacher ended without weights


_PRUNED = (EndKind.STOPPED, EndKind.DIVERGED, EndKind.OVERFITTED, EndKind.NOT_FINITE)
# How the reasons of runs begin, or end, that were recorded before kinds were.
_BEGINNINGS = {
    "stopped": EndKind.STOPPED,
    "catastrophic overfitting": EndKind.OVERFITTED,
    "not finite": EndKind.NOT_FINITE,
    "not measured": EndKind.NOT_MEASURED,
    "out of memory": EndKind.OUT_OF_MEMORY,
    "no epoch for": EndKind.HUNG,
    "what it starts from did not finish": EndKind.ORPHANED,
    "its teacher did not finish": EndKind.ORPHANED,
}


@dataclass(frozen=True)
class Ending:
    """How one trial ended.

    Attributes:
        kind: what ended it.
        detail: why, for people; None where there is nothing to say.
    """

    kind: EndKind
    detail: str | None = None

    @property
    def state(self) -> State:
        """COMPLETE has final numbers, PRUNED teaches the sampler to stay away, FAIL (infrastructure) nothing."""
        if self.kind is EndKind.FINISHED:
            return State.COMPLETE
        return State.PRUNED if self.kind in _PRUNED else State.FAIL

    @classmethod
    def of_record(cls, kind: str | None, state: str, reason: str | None) -> Self:
        """An ending that was written down; runs of before kinds were recorded told it by their reason's words.

        Args:
            kind: as recorded, None in runs that did not record it.
            state: as recorded.
            reason: as recorded.
        """
        if kind is not None:
            return cls(EndKind(kind), reason)
        if state == State.COMPLETE:
            return cls(EndKind.FINISHED, reason)
        told = [found for words, found in _BEGINNINGS.items() if (reason or "").startswith(words)]
        return cls(told[0] if told else EndKind.DIVERGED if state == State.PRUNED else EndKind.LOST, reason)


FINISHED = Ending(EndKind.FINISHED)
