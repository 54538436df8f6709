"""Says how far a run is in lines for people, and which command goes on with it."""

from datetime import UTC, datetime

from analysis.run.sessions import read_sessions
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from analysis.status.status import Phase, Status, best_proposal, status_of
from trainables.value_forms import counted

MOST_TOLD = 5  # trials that were left unfinished are told one by one


def status_lines(run: Run, status: Status, now: datetime | None = None) -> list[str]:
    """Return a status as lines for people to read; `now` as for `status_of`."""
    states = ", ".join(f"{count} {state.value}" for state, count in sorted(status.ended.items())) or "none yet"
    running = "running" if status.phase is Phase.RUNNING else "unfinished"
    counts = f"{ended(status)} ended ({states}), {len(status.running)} {running}"
    lines = [f"{run.folder}: {counts}"]
    wide = max((len(trial.name or trial.role) for trial in status.running), default=0)
    lines += [
        f"  {trial.name or trial.role:{wide}s}  {_progress(trial, status.phase)}  {summary(trial.recipe)}"
        for trial in status.running
    ]
    if (best := best_proposal(run)) is not None:
        score, flops = best.metrics["robust_accuracy"], best.metrics["train_flops"]
        reference = run.reference
        share = f" = {flops / reference.metrics['train_flops']:.1%} of the reference" if reference else ""
        lines.append(f"best score of a proposal {score:.3f} for {flops:.3g} FLOPs{share}: {summary(best.recipe)}")
    return lines + _phase_lines(run, status, now or datetime.now(UTC))


def ended(status: Status) -> str:
    """Return how many recipes have ended, and of how many."""
    total = status.ended.total()
    return f"{total} of {counted(status.planned, 'recipe')}" if status.planned else counted(total, "recipe")


def _phase_lines(run: Run, status: Status, now: datetime) -> list[str]:
    """Say what the search is doing, and which command goes on with it."""
    ago = "" if status.since is None else f" {_ago(max(0.0, (now - status.since).total_seconds()))} ago"
    host = "" if status.host is None else f" on {status.host}"
    why = "" if status.reason is None else f": {status.reason}"
    goes_on = f"`temper resume {run.folder.typed}` goes on with it."
    match status.phase:
        case Phase.RUNNING:
            last = "nothing written yet" if status.silent is None else f"last written {_ago(status.silent)} ago"
            return [f"running{host}; {last}"]
        case Phase.FINISHED:
            if run.folder.exists("report.html"):
                return [f"finished{ago}{why}; report {run.folder.child('report.html')}"]
            return [f"finished{ago}{why}; `temper report {run.folder.typed}` writes its report."]
        case Phase.INTERRUPTED | Phase.FAILED:
            return [f"{status.phase.value}{ago}{host}{why}", goes_on]
        case Phase.DEAD:
            since = "" if status.since is None else f" since {status.since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC,{ago}"
            unsure = "" if status.host else ", or its budget ended it, which its version of Temper did not record"
            return [f"dead{since}: its driver{host} was killed or lost{unsure}", goes_on]


def still_running(run: Run) -> str | None:
    """Return that a search still runs, and how far it is, as a sentence; None where it does not."""
    sessions = read_sessions(run.folder)
    if not sessions or sessions[-1].end is not None:  # which spares it the look at every trial's files
        return None
    status = status_of(run)
    if status.phase is not Phase.RUNNING:
        return None
    return (
        f"The search still runs: {ended(status)} have ended, with {len(status.running)} under way; "
        "what is said here is of those that have ended."
    )


def left_unfinished(run: Run) -> str | None:
    """Return which trials a search has left unfinished, why, and what goes on with them; None if there are none.

    The search must have ended.
    """
    left = [trial for trial in run.trials if trial.lost is not None]
    if not left:
        return None
    told = "; ".join(f"{one.name or one.role} ({summary(one.recipe)}): {one.lost}" for one in left[:MOST_TOLD])
    more = f"; and {len(left) - MOST_TOLD} more" if len(left) > MOST_TOLD else ""
    trials = f"{counted(len(left), 'trial')} {'was' if len(left) == 1 else 'were'}"
    return (
        f"{run.folder}: {trials} left unfinished, and what needs them did not run. {told}{more}. What finished is "
        f"kept: `temper resume {run.folder.typed}` goes on with the rest. Where memory ran out, free some first."
    )


def _progress(trial: Trial, phase: Phase) -> str:
    epochs = trial.recipe["schedule"]["epochs"]
    score = trial.history[-1].get("robust_accuracy") if trial.history else None
    reached = f", robust {score:.3f}" if score is not None else ""
    lost = f", {trial.lost}" if trial.lost is not None and phase is not Phase.RUNNING else ""
    return f"epoch {len(trial.history)} of {epochs}{reached}{lost}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
