"""Tells how far a run is and whether its search is alive, from its directory alone, on any machine that can read it."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from analysis.pareto.frontier import eligible
from analysis.run.extensions import planned_after, read_extensions
from analysis.run.sessions import End, last_beat, last_written, read_sessions
from analysis.run.trials import Run, Trial
from trainables.execution.ending import State

QUIET_EPOCHS = 5  # a search that has written nothing for so many times its longest epoch is taken for dead …
QUIET_SECONDS = 120.0  # … but not before so many seconds


class Phase(StrEnum):
    """What a run's search is doing, as far as its directory tells.

    INTERRUPTED: Ctrl-C ended it. FAILED: an error ended it. DEAD: it wrote nothing for long, and no end is on record.
    """

    RUNNING = "running"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
    DEAD = "dead"


@dataclass(frozen=True)
class Status:
    """How far a run is, and what its search is doing.

    Attributes:
        ended: number of trials that have ended, by state.
        running: trials that were proposed and have not ended, in the order of proposing.
        planned: number of recipes that the study runs at most; None in runs of versions that did not record it.
        phase: what the search is doing.
        since: since when: when its driver began, or ended, or last gave a sign of life; None: not known.
        reason: why the search ended, in words; None if nothing tells.
        silent: seconds since anything was written, the driver's lease included; None if nothing was, or if the storage
            does not tell.
        host: machine on which its driver runs or ran; None in runs of versions that recorded no sessions.
    """

    ended: Counter[State]
    running: tuple[Trial, ...]
    planned: int | None
    phase: Phase
    since: datetime | None
    reason: str | None
    silent: float | None
    host: str | None


def status_of(run: Run, now: datetime | None = None) -> Status:
    """Find out the status of a run.

    Args:
        run: the run, which must have just been read.
        now: the current time, with a time zone; None: it is asked of the clock.
    """
    now = now or datetime.now(UTC)
    running = tuple(trial for trial in run.trials if trial.state is State.RUNNING)
    ended: Counter[State] = Counter(trial.state for trial in run.trials if trial.state is not State.RUNNING)
    planned = run.info.get("planned_recipes")
    if planned is not None:
        planned = planned_after(planned, read_extensions(run.folder))
    sessions = read_sessions(run.folder)
    last = sessions[-1] if sessions else None
    signs = [last_written(run), last.began if last else None]
    if last is None or last.end is None:
        signs.append(last_beat(run.folder))  # the driver of a trial whose first epoch is long writes nothing else
    moments = [moment for moment in signs if moment is not None]
    written = max(moments, default=None)
    silent = max(0.0, (now - written).total_seconds()) if written else None
    since, reason = written, None
    if last is not None and last.end is not None:
        phase, since, reason = _PHASES[last.end], last.ended, last.reason
    elif planned is not None and ended.total() >= planned and not running:
        phase = Phase.FINISHED
    elif silent is not None and silent > _patience(running):
        phase = Phase.DEAD
    else:
        phase, since = Phase.RUNNING, last.began if last else None
    return Status(ended, running, planned, phase, since, reason, silent, last.host if last else None)


_PHASES = {End.FINISHED: Phase.FINISHED, End.INTERRUPTED: Phase.INTERRUPTED, End.FAILED: Phase.FAILED}


def _patience(running: tuple[Trial, ...]) -> float:
    """Return for how many seconds a search may write nothing before it is taken for dead."""
    seconds = [float(row["seconds"]) for trial in running for row in trial.history if "seconds" in row]
    return max([QUIET_SECONDS, *(QUIET_EPOCHS * one for one in seconds)])


def status_data(run: Run, status: Status) -> dict[str, Any]:
    """Return a status as plain data for programs: counts by state, what runs, and the proposal of the best score."""
    best = best_proposal(run)
    return {
        "run": str(run.folder),
        "phase": status.phase.value,
        "since": None if status.since is None else status.since.isoformat(),
        "reason": status.reason,
        "host": status.host,
        "silent_seconds": status.silent,
        "planned": status.planned,
        "ended": {state.value: count for state, count in sorted(status.ended.items())},
        "running": [
            {
                "id": trial.id,
                "role": trial.role,
                "name": trial.name,
                "epoch": len(trial.history),
                "epochs": trial.recipe["schedule"]["epochs"],
                "robust_accuracy": trial.history[-1].get("robust_accuracy") if trial.history else None,
                "lost": trial.lost,
            }
            for trial in status.running
        ],
        "best": None if best is None else {"id": best.id, **best.metrics},
    }


def best_proposal(run: Run) -> Trial | None:
    """Return the best-scored proposal that is better than chance and breaks no constraint; None: there is none.

    Of equally scored ones it is the one that cost least to train.
    """
    proposed = [trial for trial in run.trials if trial.role == "proposed" and trial.metrics]
    ranked = sorted(proposed, key=lambda trial: (-trial.metrics["robust_accuracy"], trial.metrics["train_flops"]))
    return next((trial for trial in ranked if eligible(run, trial)), None)
