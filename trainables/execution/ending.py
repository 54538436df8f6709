"""Describes how a trial ended; the kind of its ending decides what the sampler learns from it. Imports no torch."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class State(StrEnum):
    """State of a trial, in Optuna's words; a trial that is RUNNING has no ending yet."""

    COMPLETE = "complete"
    PRUNED = "pruned"
    FAIL = "fail"
    RUNNING = "running"


class EndKind(StrEnum):
    """What ended a trial."""

    FINISHED = "finished"  # it completed its whole schedule
    STOPPED = "stopped"  # halving stopped it early
    DIVERGED = "diverged"  # a training loss was not finite
    OVERFITTED = "overfitted"  # training overfitted catastrophically
    NOT_FINITE = "not_finite"  # an objective was not finite
    NOT_MEASURED = "not_measured"  # this machine cannot measure an objective
    OUT_OF_MEMORY = "out_of_memory"
    HUNG = "hung"  # an epoch took too long
    LOST = "lost"  # an unforeseen error was raised; in runs before 0.3.0 also: its process or its node was lost
    KILLED = "killed"  # its process or its node was lost; no record has it, since the trial is left unfinished
    ORPHANED = "orphaned"  # its base or its teacher ended without weights


_PRUNED = (EndKind.STOPPED, EndKind.DIVERGED, EndKind.OVERFITTED, EndKind.NOT_FINITE)
# The kinds of endings by the beginning of their recorded reasons, for runs that were recorded before kinds were.
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
_WITHOUT_WORDS = {kind: f"{kind.value.replace('_', ' ')}, without a message" for kind in EndKind}


@dataclass(frozen=True)
class Ending:
    """How one trial ended.

    Attributes:
        kind: what ended it.
        detail: the reason, for people; None where there is nothing more to say.
    """

    kind: EndKind
    detail: str | None = None

    @property
    def state(self) -> State:
        """The trial's state for the sampler.

        COMPLETE has final numbers; from PRUNED the sampler learns to avoid such recipes; from FAIL, an error of the
        infrastructure, it learns nothing.
        """
        if self.kind is EndKind.FINISHED:
            return State.COMPLETE
        return State.PRUNED if self.kind in _PRUNED else State.FAIL

    @property
    def reason(self) -> str | None:
        """The reason in words; None only where the trial is complete, since what failed or was stopped has a reason."""
        if self.detail:
            return self.detail
        return None if self.kind is EndKind.FINISHED else _WITHOUT_WORDS[self.kind]

    @classmethod
    def of_record(cls, kind: str | None, state: str, reason: str | None) -> Self:
        """Reads an ending from a run's record; in older runs, which recorded no kind, the reason's words tell it.

        Args:
            kind: the recorded kind; None in runs that did not record it.
            state: the recorded state.
            reason: the recorded reason.
        """
        if kind is not None:
            return cls(EndKind(kind), reason)
        if state == State.COMPLETE:
            return cls(EndKind.FINISHED, reason)
        told = [found for words, found in _BEGINNINGS.items() if (reason or "").startswith(words)]
        return cls(told[0] if told else EndKind.DIVERGED if state == State.PRUNED else EndKind.LOST, reason)


FINISHED = Ending(EndKind.FINISHED)
