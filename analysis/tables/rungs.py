"""Finds the epochs at which recipes reach the rungs of halving, and how well their scores there predict the result."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from analysis.run.trials import Run
from trainables.execution.ending import Ending, EndKind, State

SCORE = "robust_accuracy"
COLUMNS = ("bracket", "share", "reached", "stopped", "finished", "correlation", "trusted")
Row = Mapping[str, Any]  # one epoch of a trial's history


@dataclass
class Ladder:
    """The rungs of one bracket, with the recipes that have reached them.

    Attributes:
        shares: shares of the schedule at which the rungs lie, rising, below 1.
        shortest: recipes of fewer epochs than this reach no rung.
        trusted: rank correlation below which a rung is not trusted, once `trusted_after` recipes that reached it have
            finished.
        trusted_after: number of finished recipes from which the correlation counts.
        scores: for each rung, the robust accuracy (0–1) that each recipe had there, by its id.
    """

    shares: tuple[float, ...]
    shortest: int
    trusted: float
    trusted_after: int
    scores: tuple[dict[str, float], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = tuple({} for _ in self.shares)

    def arrive(self, recipe: str, epochs: int, row: Row) -> int | None:
        """Note a recipe's epoch, if the recipe reaches a rung with it.

        Args:
            recipe: the recipe's id.
            epochs: length of its schedule.
            row: the epoch's row of its history.

        Returns:
            The index of the highest rung that the recipe has reached. None if it has reached none, if it reached that
            rung before, or if the epoch is not judged: the last one, one without a score, one of too short a schedule.
        """
        epoch = int(row["epoch"])
        if epochs < self.shortest or epoch >= epochs or row[SCORE] is None:
            return None
        reached = [index for index, level in enumerate(self.shares) if epoch / epochs >= level]
        if not reached or recipe in self.scores[reached[-1]]:
            return None
        self.scores[reached[-1]][recipe] = float(row[SCORE])
        return reached[-1]

    def correlation(self, index: int, final: Mapping[str, float]) -> tuple[int, float]:
        """Compute how well the scores at a rung predict the final scores.

        Args:
            index: index of the rung.
            final: robust accuracy of every recipe that has finished, by its id.

        Returns:
            The number of finished recipes that reached the rung, and the rank correlation of their scores there with
            their final ones; NaN if there is none.
        """
        scores = self.scores[index]
        pairs = [(scores[one], score) for one, score in final.items() if one in scores]  # fewer finish than arrive
        if len(pairs) < 2:
            return len(pairs), math.nan
        early, late = zip(*pairs, strict=True)
        return len(pairs), rank_correlation(list(early), list(late))

    def is_trusted(self, index: int, final: Mapping[str, float]) -> bool:
        """Return whether a rung may stop recipes; arguments as for `correlation`."""
        count, correlation = self.correlation(index, final)
        return count < self.trusted_after or correlation >= self.trusted


def rank_correlation(early: list[float], final: list[float]) -> float:
    """Return Spearman's rank correlation, with average ranks for ties; NaN if all values of either are equal."""
    from scipy.stats import rankdata  # late: it is slow to import

    a, b = rankdata(early), rankdata(final)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def judged(history: Sequence[Row], ending: Ending | None) -> tuple[Sequence[Row], bool]:
    """Return the epochs of a trial that halving judged, and whether it stopped the trial at the last of them.

    An epoch in which training failed (diverged, overfitted) was not judged, since it ended the trial by itself.
    """
    stopped = ending is not None and ending.kind is EndKind.STOPPED
    pruned = ending is not None and ending.state is State.PRUNED
    return (history[:-1] if pruned and not stopped else history), stopped


def rung_table(run: Run) -> pd.DataFrame:
    """Return one row for each bracket and rung of a run, from the proposals' histories; empty without halving.

    Returns:
        Columns bracket (from 1), share (of the schedule, 0–1), reached, stopped and finished (numbers of proposals:
        that reached the rung, that were stopped there, and that reached it and finished), correlation (of robust
        accuracy there with the final one, -1–1, NaN if there is none) and trusted (bool, as of the end of the record).
    """
    halving = run.info.get("halving")  # older runs have no such key
    if halving is None:
        return pd.DataFrame(columns=list(COLUMNS))
    limits = {name: halving[name] for name in ("shortest", "trusted", "trusted_after")}
    ladders = [Ladder(tuple(shares), **limits) for shares in halving["ladders"]]
    stops = [[0] * len(ladder.shares) for ladder in ladders]
    final: dict[str, float] = {}
    for trial in run.trials:
        if trial.role != "proposed":
            continue
        bracket = trial.number % len(ladders)
        rows, stopped = judged(trial.history, trial.ending)
        epochs = int(trial.recipe["schedule"]["epochs"])
        rungs = [ladders[bracket].arrive(trial.id, epochs, row) for row in rows]
        if stopped and rungs and rungs[-1] is not None:
            stops[bracket][rungs[-1]] += 1
        if trial.metrics:
            final[trial.id] = trial.metrics[SCORE]
    return pd.DataFrame(
        [
            (
                bracket + 1,
                share,
                len(ladder.scores[index]),
                stops[bracket][index],
                *ladder.correlation(index, final),
                ladder.is_trusted(index, final),
            )
            for bracket, ladder in enumerate(ladders)
            for index, share in enumerate(ladder.shares)
        ],
        columns=list(COLUMNS),
    )


def rung_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Return the rows of a `rung_table` as text, by the keys rung, reached, stopped, finished, correlation, trusted."""
    several = len(table) and table["bracket"].max() > 1
    return [
        {
            "rung": f"{row['share']:.0%}" + (f", bracket {row['bracket']}" if several else ""),
            "reached": str(row["reached"]),
            "stopped": str(row["stopped"]),
            "finished": str(row["finished"]),
            "correlation": "unknown" if math.isnan(row["correlation"]) else f"{row['correlation']:.2f}",
            "trusted": "yes" if row["trusted"] else "no",
        }
        for row in table.to_dict("records")
    ]


def rung_lines(run: Run) -> list[str]:
    """Return a line for each rung that was reached, for the terminal."""
    return [
        f"Rung {row['rung']}: {row['reached']} reached it, {row['stopped']} were stopped there; rank correlation with "
        f"the result {row['correlation']}, of {row['finished']} that finished"
        + ("" if row["trusted"] == "yes" else ": not trusted, it stops nobody")
        for row in rung_rows(rung_table(run))
        if row["reached"] != "0"
    ]
