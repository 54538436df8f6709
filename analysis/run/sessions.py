"""Reads the sessions of a run: the stretches of time in which a driver worked on it.

Each `temper search` or `temper resume` is a session. It writes sessions/<n>/began.json and, unless it is killed,
sessions/<n>/ended.json, each once. While it lives it holds the run by lease/<n>/, and renews that every few seconds by
a new file beat-<n>.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from analysis.run.trials import Run
from trainables.execution.ending import State
from trainables.storage import Folder

SESSIONS, BEGAN, ENDED = "sessions", "began.json", "ended.json"
LEASES, BEAT, SEARCH = "lease", re.compile(r"beat-(\d+)"), "search"


class End(StrEnum):
    """How a session ended. A session that was killed has no end, since it could not write one."""

    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"


@dataclass(frozen=True)
class Session:
    """The work of one driver on a run, from its start to its end.

    Attributes:
        number: number of the session, from 1.
        began: when it began, with a time zone.
        host: name of the driver's machine.
        hours_before: hours of all sessions before it, as known when it began.
        end: how it ended; None if it goes on or was killed.
        reason: why it ended, in words: what spent the budget, the signal, the error.
        ended: when it ended, with a time zone; None without an end.
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
    """Read the sessions of a run, in their order.

    Sessions whose began.json is torn are left out. Runs of versions that did not record sessions have none.
    """
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


def standings(run: Run) -> dict[str, str]:
    """Return how each trial stands, in a word by its id.

    One without an end is `unfinished` if a search left it behind, or has ended since, as by Ctrl-C.
    """
    sessions = read_sessions(run.folder)
    ended = bool(sessions) and sessions[-1].end is not None
    return {trial.id: "unfinished" if ended and trial.ending is None else trial.stands for trial in run.trials}


def session_numbers(folder: Folder) -> list[int]:
    """Return the numbers of all sessions that have begun, torn ones included."""
    return sorted(int(name) for name in folder.child(SESSIONS).names() if name.isdigit())


def last_written(run: Run) -> datetime | None:
    """Return when a search last wrote run.json, a trial or a checkpoint of a run; None if nothing tells."""
    noted = [_started(run), *(moment for trial in run.trials for moment in (trial.started, trial.ended))]
    moments = [datetime.fromisoformat(moment) for moment in noted if moment]
    for trial in run.trials:
        if trial.state is State.RUNNING and trial.history:
            folder = run.folder.child("trials", trial.id, "checkpoint", str(len(trial.history)))
            moment = folder.modified("state.json")
            moments += [moment] if moment is not None else []
    return max(moments, default=None)


def last_beat(folder: Folder) -> datetime | None:
    """Return when the driver of a search last renewed its lease of a run; None if nothing tells.

    A confirmation, too, renews a lease, but that says nothing of the search that was killed before it.
    """
    place = folder.child(LEASES)
    newest = max((int(name) for name in place.names() if name.isdigit()), default=None)
    if newest is None:
        return None
    term = place.child(str(newest))
    names = term.names()
    try:
        purposes = {term.read_json(name).get("purpose", SEARCH) for name in names if name.startswith("claim")}
    except (OSError, ValueError, AttributeError):
        return None  # torn, or withdrawn meanwhile
    if purposes != {SEARCH}:
        return None
    return max((one for name in names if BEAT.fullmatch(name) and (one := term.modified(name))), default=None)


def hours_spent(run: Run) -> float:
    """Return for how many hours drivers worked on a run, provided that none works on it now.

    A session without an end was killed: it lasted until the last file that was written. A run of a version that did not
    record sessions counts as one such session.
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
    """Return when the run began, as its run.json says."""
    moment = run.info.get("provenance", {}).get("started")
    return None if moment is None else str(moment)


def _end(folder: Folder) -> dict[str, Any]:
    """Read how a session ended; empty if it has not ended or if its ended.json is torn."""
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
