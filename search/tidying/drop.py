"""Drops the weights that nothing needs, and of all ended trials what is needed only to train on."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from analysis.run.trials import Run, Trial
from search.tidying.needed import needed
from trainables.checkpoints.thinning import thin, would_free
from trainables.value_forms import counted


@dataclass(frozen=True)
class Dropped:
    """What was dropped from a run, or would be.

    Attributes:
        kept: number of trials whose weights are kept, by the reason.
        lost: number of ended trials whose weights are dropped.
        unfinished: number of trials that have not ended, of which nothing is touched.
        freed: bytes.
        before: bytes of all checkpoints before.
    """

    kept: Mapping[str, int]
    lost: int
    unfinished: int
    freed: int
    before: int


def drop(run: Run, wanted: list[Trial], *, dry_run: bool, check: Callable[[], object] = lambda: None) -> Dropped:
    """Drop what nothing needs; may be called again, also after a kill.

    Args:
        run: the run, which nothing else writes meanwhile.
        wanted: trials whose weights are kept too.
        dry_run: only say what would be dropped.
        check: is called before each trial, and raises if this must end.
    """
    reasons, act = needed(run, wanted), would_free if dry_run else thin
    ended = [trial for trial in run.everything if trial.ending is not None]
    freed = before = 0
    for trial in ended:
        check()
        folder = run.folder.child("trials", trial.id, "checkpoint")
        before += folder.size()
        freed += act(folder, weights=trial.id in reasons, best=trial.recipe.get("keep") == "best")
    return Dropped(
        kept=Counter(reasons.values()),
        lost=len(ended) - len(reasons),
        unfinished=len(run.everything) - len(ended),
        freed=freed,
        before=before,
    )


def words(dropped: Dropped, *, dry_run: bool) -> list[str]:
    """Return what was dropped, in lines."""
    kept = ", ".join(f"{count} {why}" for why, count in sorted(dropped.kept.items()))
    would = "would be " if dry_run else ""
    weights = counted(sum(dropped.kept.values()), "trial")
    lines = [
        f"weights of {weights} {would}kept ({kept}), of {dropped.lost} {would}dropped",
        f"{dropped.freed / 1e6:.1f} of {dropped.before / 1e6:.1f} MB {would}freed; learning curves and recipes stay",
    ]
    if dropped.unfinished == 1:
        lines.append("1 trial has not ended, and is left as it is")
    elif dropped.unfinished:
        lines.append(f"{dropped.unfinished} trials have not ended, and are left as they are")
    return lines
