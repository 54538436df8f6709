"""Shows a running search again and again until it has ended: what runs, what is spent, the frontier so far."""

import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from analysis.run.extensions import read_extensions
from analysis.run.sessions import read_sessions
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial, read_run
from analysis.status.status import Phase, Status, status_of
from analysis.status.words import ended, status_lines
from search.monitoring.sketch import Marks, bar, length_of, marks_of, sketch
from search.resume.extension import extended, spent_of
from search.study.algorithms import Budget
from search.study.loading import read_study
from trainables.execution.ending import State
from trainables.storage import Folder
from trainables.value_forms import counted

HOME = "\x1b[H\x1b[J"  # moves the cursor to the corner, and erases all below
SECONDS = 2.0  # from one look to the next, …
PATIENCE = 5.0  # … but at least so many times what a look takes
HEIGHT, MOST_RUNNING, MOST_REASONS = 12, 8, 3


def watch(folder: Folder, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Show how far a run is until its search has ended.

    On a terminal the picture is drawn anew each time; elsewhere a line is printed whenever a trial has ended.

    Raises:
        InvalidInput: the folder holds no run.
    """
    live, told, run = sys.stdout.isatty(), -1, None
    study = read_study(folder)
    while True:
        begun = time.monotonic()
        run = read_run(folder, run, curves=False)
        status = status_of(run)
        if live:
            size = shutil.get_terminal_size()
            budget = extended(study, read_extensions(folder)).budget  # a resumed search may add to it meanwhile
            shown = frame(run, status, budget, datetime.now(UTC), size.columns, marks_of(sys.stdout.encoding))
            print(HOME + "\n".join(line[: size.columns] for line in shown[: size.lines - 1]), flush=True)
        elif status.ended.total() != told:
            told = status.ended.total()
            print(counts(status), flush=True)
        if status.phase is not Phase.RUNNING:
            if not live:
                print("\n".join(status_lines(run, status)), flush=True)
            return
        sleep(max(SECONDS, PATIENCE * (time.monotonic() - begun)))


def frame(run: Run, status: Status, budget: Budget, now: datetime, width: int, marks: Marks) -> list[str]:
    """Return the lines of one picture.

    Args:
        run: the run as it stands.
        status: its status.
        budget: what its search may spend, extensions included.
        now: the current time, with a time zone.
        width: characters of a line.
        marks: what is drawn.
    """
    across = min(width, 100)
    planned = status.planned or len(run.trials)
    lines = [
        counts(status),
        bar(status.ended.total() / max(planned, 1), across, marks),
        *spending(run, status, budget, now),
        *(_running(trial, across, marks) for trial in status.running[:MOST_RUNNING]),
    ]
    if len(status.running) > MOST_RUNNING:
        lines.append(f"and {len(status.running) - MOST_RUNNING} more run")
    lines += ["", *sketch(run, across, HEIGHT, marks), *_reasons(run), ""]
    return lines + status_lines(run, status, now)[1 + len(status.running) :]


def counts(status: Status) -> str:
    """Return how many recipes have ended, by state, and how many run."""
    states = ", ".join(f"{count} {state.value}" for state, count in sorted(status.ended.items())) or "none yet"
    return f"{ended(status)} ended ({states}), {len(status.running)} run"


def spending(run: Run, status: Status, budget: Budget, now: datetime) -> list[str]:
    """Return what is spent of each limit, and about how long the search will go on.

    The time is by the limit that is used up first, at the pace of the search so far, earlier drivers included. A clock
    that is behind the driver's tells no time.
    """
    spent = spent_of(run)
    began, hours = (status.since, spent.hours) if status.phase is Phase.RUNNING else (None, spent.hours)
    if began is not None and (sessions := read_sessions(run.folder)):
        hours = sessions[-1].hours_before + max(0.0, (now - began).total_seconds()) / 3600
    proposed = f"{spent.trials} of {counted(budget.trials, 'proposal')}"
    parts = [(proposed, spent.trials / budget.trials if budget.trials else 1.0)]
    if budget.flops is not None:
        parts.append((f"{spent.flops:.2g} of {budget.flops:.2g} FLOPs", spent.flops / budget.flops))
    if budget.hours is not None:
        parts.append((f"{hours:.2g} of {counted(budget.hours, 'hour', 'g')}", hours / budget.hours))
    used = max(share for _, share in parts)
    left = ""
    if began is not None and hours > 0 and 0 < used < 1 and spent.trials:
        left = f"; about {length_of(3600 * hours * (1 - used) / used)} left at this pace"
    return [f"spent {', '.join(words for words, _ in parts)}{left}"]


def _running(trial: Trial, width: int, marks: Marks) -> str:
    epochs = max(1, trial.recipe["schedule"]["epochs"])
    score = trial.history[-1].get("robust_accuracy") if trial.history else None
    reached = "     " if score is None else f"{score:.3f}"
    head = (
        f"  {trial.id[:6]}  {bar(len(trial.history) / epochs, 12, marks)} {len(trial.history):>3}/{epochs:<3} {reached}"
    )
    return f"{head}  {trial.name or trial.role}: {summary(trial.recipe)}"[:width]


def _reasons(run: Run) -> list[str]:
    """Return why trials failed or were stopped, the most frequent reasons first."""
    ended: Sequence[Trial] = [trial for trial in run.trials if trial.state in (State.FAIL, State.PRUNED)]
    counted = Counter(f"{trial.state.value}: {trial.reason}" for trial in ended).most_common()
    lines = [f"{number} × {words}" for words, number in counted[:MOST_REASONS]]
    rest = sum(number for _, number in counted[MOST_REASONS:])
    return lines + ([f"{rest} for other reasons"] if rest else [])
