"""How far a run is, told from its directory alone, from any machine that can read it."""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime

from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from trainables.execution.ending import State

QUIET_EPOCHS = 5  # times the longest epoch that was seen; after so long without a word, a search may be gone
QUIET_SECONDS = 120.0  # at least


@dataclass(frozen=True)
class Status:
    """How far a run is.

    Attributes:
        ended: number of recipes by how they ended.
        running: those that were proposed and have not ended, in order of proposing.
        planned: recipes that the study runs at most.
        silent: seconds since anything was written; None where the storage does not tell.
        concluded: its report is there.
        quiet: silent for so long that the search may be gone.
    """

    ended: Counter[State]
    running: tuple[Trial, ...]
    planned: int | None
    silent: float | None
    concluded: bool

    @property
    def quiet(self) -> bool:
        seconds = [float(row["seconds"]) for trial in self.running for row in trial.history if "seconds" in row]
        patience = max([QUIET_SECONDS, *(QUIET_EPOCHS * one for one in seconds)])
        return not self.concluded and self.silent is not None and self.silent > patience


def status_of(run: Run, now: datetime | None = None) -> Status:
    """Look at a run.

    Args:
        run: as just read.
        now: with a time zone; None: this moment.
    """
    now = now or datetime.now(UTC)
    running = tuple(trial for trial in run.trials if trial.state is State.RUNNING)
    written = [
        datetime.fromisoformat(moment) for trial in run.trials for moment in (trial.started, trial.ended) if moment
    ]
    for trial in running:
        folder = run.folder.child("trials", trial.id, "checkpoint", str(len(trial.history)))
        moment = folder.modified("state.json") if trial.history else None
        written += [moment] if moment is not None else []
    return Status(
        ended=Counter(trial.state for trial in run.trials if trial.state is not State.RUNNING),
        running=running,
        planned=run.info.get("planned_recipes"),
        silent=max(0.0, (now - max(written)).total_seconds()) if written else None,
        concluded=run.folder.exists("report.html"),
    )


def status_lines(run: Run, status: Status) -> list[str]:
    """A status for people."""
    ended = sum(status.ended.values())
    states = ", ".join(f"{count} {state.value}" for state, count in sorted(status.ended.items())) or "none yet"
    of = f" of {status.planned}" if status.planned else ""
    lines = [f"{run.folder}: {ended}{of} recipes ended ({states}), {len(status.running)} running"]
    wide = max((len(trial.name or trial.role) for trial in status.running), default=0)
    lines += [
        f"  {trial.name or trial.role:{wide}s}  {_progress(trial)}  {summary(trial.recipe)}" for trial in status.running
    ]
    proposed = [trial for trial in run.trials if trial.role == "proposed" and trial.metrics]
    if proposed:
        best = max(proposed, key=lambda trial: trial.metrics["robust_accuracy"])
        score, flops = best.metrics["robust_accuracy"], best.metrics["train_flops"]
        reference = run.reference
        share = f" = {flops / reference.metrics['train_flops']:.1%} of the reference" if reference else ""
        lines.append(f"most robust proposal {score:.3f} for {flops:.3g} FLOPs{share}: {summary(best.recipe)}")
    if status.concluded:
        lines.append(f"done; report {run.folder}/report.html")
    elif status.silent is not None:
        lines.append(f"last written {_ago(status.silent)} ago")
    if status.quiet:
        lines.append(f"If its search is gone, `temper resume {run.folder}` goes on with it.")
    return lines


def _progress(trial: Trial) -> str:
    epochs = trial.recipe["schedule"]["epochs"]
    score = trial.history[-1].get("robust_accuracy") if trial.history else None
    reached = f", robust {score:.3f}" if score is not None else ""
    return f"epoch {len(trial.history)} of {epochs}{reached}"


def _ago(seconds: float) -> str:
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
