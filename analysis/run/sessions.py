"""The sessions of a run: each stretch of time in which a driver worked on it, from `temper search` or `resume` on.

A session leaves sessions/<n>/began.json and, unless it is killed, sessions/<n>/ended.json, each written once.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from analysis.run.trials import Run
from trainables.execution.ending import State
from trainables.storage import Folder

SESSIONS, BEGAN, ENDED = "sessions", "began.json", "ended.json"


class End(StrEnum):
    """How a session ended; one that was killed could not say so."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class Session:
    """One driver's work on a run.

    Attributes:
        number: from 1.
        began: with a time zone, as `ended`.
        host: name of the driver's machine.
        hours_before: of all sessions before it, as known when it began.
        end: None where it goes on, or was killed.
        reason: why it ended so: what spent the budget, the signal, the error.
        hours: its length; None without an end.
    """

    number: int
    began: datetime
    host: str
    hours_before: float
    end: End | None = None
    reason: str | None = None
    ended: datetime | None = None
    hours: float | None = None


def read_sessions(folder: Folder) -> tuple[Session, ...]:
    """The sessions of a run in their order; none of a run of before they were recorded. Torn ones are left out."""
    place, found = folder.child(SESSIONS), []
    for number in session_numbers(folder):
        one = place.child(str(number))
        try:
            began = one.read_json(BEGAN)
            start = datetime.fromisoformat(began["when"]), str(began["host"]), float(began["hours_before"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        found.append(Session(number, *start, **_end(one)))
    return tuple(found)


def session_numbers(folder: Folder) -> list[int]:
    """The numbers of all sessions that have begun, torn ones too."""
    return sorted(int(name) for name in folder.child(SESSIONS).names() if name.isdigit())


def last_written(run: Run) -> datetime | None:
    """When a search last wrote run.json, a trial or a checkpoint of a run; None where nothing tells."""
    noted = [_started(run), *(moment for trial in run.trials for moment in (trial.started, trial.ended))]
    moments = [datetime.fromisoformat(moment) for moment in noted if moment]
    for trial in run.trials:
        if trial.state is State.RUNNING and trial.history:
            folder = run.folder.child("trials", trial.id, "checkpoint", str(len(trial.history)))
            moment = folder.modified("state.json")
            moments += [moment] if moment is not None else []
    return max(moments, default=None)


def hours_spent(run: Run) -> float:
    """Hours that drivers worked on a run, none of which works on it now.

    A session without an end was killed: it lasted until the last thing that was written. A run of before sessions were
    recorded counts as one such session.
    """
    sessions, written = read_sessions(run.folder), last_written(run)
    if sessions and sessions[-1].hours is not None:
        return sessions[-1].hours_before + sessions[-1].hours
    started = _started(run)
    before, began = (sessions[-1].hours_before, sessions[-1].began) if sessions else (0.0, None)
    began = datetime.fromisoformat(started) if began is None and started else began
    if began is None or written is None:
        return before
    return before + max(0.0, (written - began).total_seconds()) / 3600


def _started(run: Run) -> str | None:
    """When run.json was written, as it says."""
    moment = run.info.get("provenance", {}).get("started")
    return None if moment is None else str(moment)


def _end(folder: Folder) -> dict[str, Any]:
    """How a session ended; empty where it did not, or where what says so is torn."""
    try:
        ended = folder.read_json(ENDED)
        return {
            "end": End(ended["why"]),
            "reason": str(ended["reason"]),
            "ended": datetime.fromisoformat(ended["when"]),
            "hours": float(ended["hours"]),
        }
    except (OSError, ValueError, KeyError, TypeError):
        return {}
