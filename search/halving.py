"""Stops proposals that are not worth their full schedule: multi-objective successive halving, as a Tune scheduler.

Rungs lie at equal shares of each recipe's own schedule, since a one-cycle rate makes equal epochs unfair to long ones.
A proposal is compared by what it reached so far and by what its whole schedule will cost, which is known.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ray.tune.schedulers import FIFOScheduler

from search.effort import Halving
from search.replay import Remembered
from search.rungs import Rung, rank_correlation

PLANNED = {"train_flops": "planned_train_flops", "end_to_end_flops": "planned_end_to_end_flops"}
SO_FAR = {"robust_accuracy": -1.0, "clean_accuracy": -1.0}  # and the sign that makes it a cost
SCORE = "robust_accuracy"
STOPPED = "stopped"  # how the reason of a trial that was stopped begins


@dataclass
class Ladder:
    """The rungs of one bracket and who has reached them.

    Attributes:
        shares: of the schedule, rising, below 1.
        rungs: one for each.
        scores: by rung, the robust accuracy that each recipe had there.
    """

    shares: tuple[float, ...]
    rungs: tuple[Rung, ...]
    scores: tuple[dict[str, float], ...] = field(init=False)

    def __post_init__(self) -> None:
        self.scores = tuple({} for _ in self.shares)

    def due(self, recipe: str, share: float) -> int | None:
        """The highest rung that a recipe has reached at this share of its schedule, unless it was there before."""
        reached = [index for index, level in enumerate(self.shares) if share >= level]
        return reached[-1] if reached and recipe not in self.scores[reached[-1]] else None


class Judge:
    """Decides who goes on. Its state is a function of the reports that it was given, in order, so it is not saved."""

    def __init__(self, settings: Halving, objectives: Sequence[str]) -> None:
        """Args: the study's settings, and its objectives; those that are not known before the end count for nothing."""
        self._settings = settings
        self._objectives = [name for name in objectives if name in SO_FAR or name in PLANNED]
        self._ladders = [_ladder(settings, skipped) for skipped in range(settings.brackets)]
        self._finished: dict[str, float] = {}

    def report(
        self, recipe: str, number: int, epochs: int, row: dict[str, Any], *, stopped: bool | None = None
    ) -> str | None:
        """Take note of an epoch of a proposal.

        Args:
            recipe: its id.
            number: in the order of proposing, which deals it to a bracket.
            epochs: of its schedule.
            row: of its history.
            stopped: whether it was then, for an epoch of the record; None: to be decided.

        Returns:
            Why it is to be stopped, or None.
        """
        epoch = int(row["epoch"])
        if epochs < self._settings.shortest or epoch >= epochs or row[SCORE] is None:
            return None
        ladder = self._ladders[number % len(self._ladders)]
        index = ladder.due(recipe, epoch / epochs)
        if index is None:
            return None
        ladder.scores[index][recipe] = float(row[SCORE])
        rung, costs = ladder.rungs[index], tuple(self._cost(name, row) for name in self._objectives)
        if stopped is not None:
            rung.note(costs, kept=not stopped)
            return None
        if rung.arrive(costs, binding=self._is_trusted(ladder, index)):
            return None
        return (
            f"{STOPPED} at {ladder.shares[index]:.0%} of its schedule: not among the first "
            f"{1 / self._settings.reduction_factor:.0%} of {len(ladder.rungs[index].costs)} there"
        )

    def finish(self, recipe: str, score: float) -> None:
        """Take note of a finished proposal's robust accuracy."""
        self._finished[recipe] = score

    def replay(self, past: Sequence[Remembered]) -> None:
        """Become what a judge was that had decided all this."""
        for one in past:
            proposal, outcome = one.proposal, one.outcome
            if proposal.role != "proposed":
                continue
            epochs = proposal.recipe.schedule.epochs
            for row in one.history:
                last = row is one.history[-1]
                stopped = last and outcome is not None and (outcome.reason or "").startswith(STOPPED)
                self.report(proposal.recipe.id, proposal.number, epochs, row, stopped=stopped)
            if outcome is not None and outcome.metrics is not None:
                self.finish(proposal.recipe.id, outcome.metrics[SCORE])

    def correlations(self) -> list[tuple[float, int, float]]:
        """By rung: its share of the schedule, how many that reached it have finished, and their rank correlation."""
        return [
            (ladder.shares[index], *self._correlation(ladder, index))
            for ladder in self._ladders
            for index in range(len(ladder.shares))
        ]

    def _cost(self, name: str, row: dict[str, Any]) -> float:
        return SO_FAR[name] * float(row[name]) if name in SO_FAR else float(row[PLANNED[name]])

    def _is_trusted(self, ladder: Ladder, index: int) -> bool:
        count, correlation = self._correlation(ladder, index)
        return count < self._settings.trusted_after or correlation >= self._settings.trusted

    def _correlation(self, ladder: Ladder, index: int) -> tuple[int, float]:
        pairs = [(score, self._finished[one]) for one, score in ladder.scores[index].items() if one in self._finished]
        if len(pairs) < 2:
            return len(pairs), math.nan
        early, final = zip(*pairs, strict=True)
        return len(pairs), rank_correlation(list(early), list(final))


class ParetoHalving(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """First come, first served; stops proposals that the judge would not let go on.

    Attributes:
        failures: why a trial failed, by Tune's trial id, which Tune tells schedulers but not searchers.
        stops: why a trial was stopped, likewise.
    """

    def __init__(self, judge: Judge | None) -> None:
        """Take a judge, or None to stop nobody."""
        super().__init__()
        self._judge = judge
        self.failures: dict[str, str] = {}
        self.stops: dict[str, str] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called after each epoch but the last."""
        config = trial.config
        if self._judge is None or config["role"] != "proposed":
            return str(self.CONTINUE)
        epochs = int(config["recipe"]["schedule"]["epochs"])
        reason = self._judge.report(config["id"], int(config["number"]), epochs, result)
        if reason is None:
            return str(self.CONTINUE)
        self.stops[trial.trial_id] = reason
        return str(self.STOP)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Called when a trial has ended or was stopped, with its last result as Tune flattens it."""
        score = result.get(f"metrics/{SCORE}")
        if self._judge is not None and trial.config["role"] == "proposed" and score is not None:
            self._judge.finish(trial.config["id"], float(score))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        lines = [line.strip() for line in str(trial.get_error()).splitlines() if line.strip()]
        self.failures[trial.trial_id] = lines[-1] if lines else "failed without a message"


def _ladder(settings: Halving, skipped: int) -> Ladder:
    """The rungs of a bracket; at least one, whatever it skips."""
    shares = [settings.grace]
    while shares[-1] * settings.reduction_factor < 1:
        shares.append(shares[-1] * settings.reduction_factor)
    shares = shares[min(skipped, len(shares) - 1) :]
    return Ladder(tuple(shares), tuple(Rung(settings.reduction_factor) for _ in shares))
