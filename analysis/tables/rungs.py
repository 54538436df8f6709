"""How well the rungs of successive halving foretell the result, and which epoch belongs to a rung."""

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
Row = Mapping[str, Any]  # of a history


@dataclass
class Ladder:
    """The rungs of one bracket and who has reached them.

    Attributes:
        shares: of the schedule, rising, below 1.
        shortest: recipes of fewer epochs than this reach no rung.
        trusted: rank correlation below which a rung is not believed, once `trusted_after` that reached it have
            finished.
        scores: by rung, the robust accuracy (0–1) that each recipe had there, by its id.
    """

    shares: tuple[float, ...]
    shortest: int
    trusted: float
    trusted_after: int
    scores: tuple[dict[str, float], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = tuple({} for _ in self.shares)

    def arrive(self, recipe: str, epochs: int, row: Row) -> int | None:
        """Take note of an epoch if a rung is due with it.

        Args:
            recipe: its id.
            epochs: of its schedule.
            row: of its history.

        Returns:
            The highest rung that the recipe has reached, if it was not there before. None: no rung, one where it was
            before, or an epoch that is not judged: the last, one without a score, one of too short a schedule.
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
        """How a rung foretold the result.

        Args:
            index: of the rung.
            final: robust accuracy of every recipe that has finished, by its id.

        Returns:
            How many that reached the rung have finished, and the rank correlation of their scores there with their
            final ones; NaN where there is none.
        """
        scores = self.scores[index]
        pairs = [(scores[one], score) for one, score in final.items() if one in scores]  # fewer finish than arrive
        if len(pairs) < 2:
            return len(pairs), math.nan
        early, late = zip(*pairs, strict=True)
        return len(pairs), rank_correlation(list(early), list(late))

    def is_trusted(self, index: int, final: Mapping[str, float]) -> bool:
        """Whether a rung may stop anybody; args as for `correlation`."""
        count, correlation = self.correlation(index, final)
        return count < self.trusted_after or correlation >= self.trusted


def rank_correlation(early: list[float], final: list[float]) -> float:
    """Spearman's rank correlation, with average ranks for ties; NaN where either has no spread."""
    from scipy.stats import rankdata  # late: it is slow to import

    a, b = rankdata(early), rankdata(final)
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return math.nan
    return float(np.corrcoef(a, b)[0, 1])


def judged(history: Sequence[Row], ending: Ending | None) -> tuple[Sequence[Row], bool]:
    """The epochs of a record that were judged as they came, and whether the recipe was stopped at the last of them.

    An epoch in which training failed (diverged, overfitted) ended the trial before anybody was asked.
    """
    stopped = ending is not None and ending.kind is EndKind.STOPPED
    pruned = ending is not None and ending.state is State.PRUNED
    return (history[:-1] if pruned and not stopped else history), stopped


def rung_table(run: Run) -> pd.DataFrame:
    """One row per bracket and rung, out of the proposals' histories; empty without halving.

    Returns:
        Columns bracket (from 1), share (of the schedule, 0–1), reached, stopped, finished (proposals: that reached the
        rung; that were stopped there; of those that reached it, that finished), correlation (of robust accuracy there
        with the final one, -1–1, NaN where there is none) and trusted (bool, as of the end of the record).
    """
    halving = run.info.get("halving")  # runs of before it was written have no such key
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
    """A `rung_table` in words: rung, reached, stopped, finished, correlation, trusted."""
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
    """A line for each rung that was reached, for the terminal."""
    return [
        f"Rung {row['rung']}: {row['reached']} reached it, {row['stopped']} were stopped there; rank correlation with "
        f"the result {row['correlation']}, of {row['finished']} that finished"
        + ("" if row["trusted"] == "yes" else ": not trusted, it stops nobody")
        for row in rung_rows(rung_table(run))
        if row["reached"] != "0"
    ]
