"""Stops proposals that are not worth their full schedule: multi-objective successive halving, as a Tune scheduler.

Rungs lie at equal shares of each recipe's own schedule, since a one-cycle rate makes equal epochs unfair to long ones.
A proposal is compared by what it reached so far and by what its whole schedule will cost, which is known.
"""

from collections.abc import Sequence
from typing import Any

from ray.tune.schedulers import FIFOScheduler

from analysis.rungs import SCORE, STOPPED, Ladder, judged
from analysis.trials import State
from search.effort import Halving
from search.failures import reason_of
from search.replay import Remembered
from search.rungs import Rung

PLANNED = {"train_flops": "planned_train_flops", "end_to_end_flops": "planned_end_to_end_flops"}
SO_FAR = {"robust_accuracy": -1.0, "clean_accuracy": -1.0}  # and the sign that makes it a cost


class Judge:
    """Decides who goes on. Its state is a function of the reports that it was given, in order, so it is not saved.

    Attributes:
        ladders: one for each bracket, and who has reached its rungs.
        final: robust accuracy of the proposals that have finished, by recipe id.
    """

    def __init__(self, settings: Halving, objectives: Sequence[str]) -> None:
        """Args: the study's settings, and its objectives; those that are not known before the end count for nothing."""
        self._factor = settings.reduction_factor
        self._objectives = [name for name in objectives if name in SO_FAR or name in PLANNED]
        self.ladders = [
            Ladder(shares, settings.shortest, settings.trusted, settings.trusted_after) for shares in settings.ladders
        ]
        self._rungs = [[Rung(self._factor) for _ in shares] for shares in settings.ladders]
        self.final: dict[str, float] = {}
        self._trusted: dict[tuple[int, int], bool] = {}  # by bracket and rung, as long as nobody finishes

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
        bracket = number % len(self.ladders)
        ladder = self.ladders[bracket]
        index = ladder.arrive(recipe, epochs, row)
        if index is None:
            return None
        rung, costs = self._rungs[bracket][index], tuple(self._cost(name, row) for name in self._objectives)
        if stopped is not None:
            rung.note(costs, kept=not stopped)
            return None
        if (bracket, index) not in self._trusted:
            self._trusted[bracket, index] = ladder.is_trusted(index, self.final)
        if rung.arrive(costs, binding=self._trusted[bracket, index]):
            return None
        return (
            f"{STOPPED} at {ladder.shares[index]:.0%} of its schedule: not among the first "
            f"{1 / self._factor:.0%} of {len(rung.costs)} there"
        )

    def finish(self, recipe: str, score: float) -> None:
        """Take note of a finished proposal's robust accuracy."""
        self.final[recipe] = score
        self._trusted.clear()

    def replay(self, past: Sequence[Remembered]) -> None:
        """Become what a judge was that had decided all this."""
        for one in past:
            proposal, outcome = one.proposal, one.outcome
            if proposal.role != "proposed":
                continue
            recipe = proposal.recipe
            state, reason = (State.RUNNING, None) if outcome is None else (outcome.state, outcome.reason)
            rows, stopped = judged(one.history, state, reason)
            for row in rows:
                last = row is rows[-1]
                self.report(recipe.id, proposal.number, recipe.schedule.epochs, dict(row), stopped=last and stopped)
            if outcome is not None and outcome.metrics is not None:
                self.finish(recipe.id, outcome.metrics[SCORE])

    def _cost(self, name: str, row: dict[str, Any]) -> float:
        return SO_FAR[name] * float(row[name]) if name in SO_FAR else float(row[PLANNED[name]])


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
        self.failures[trial.trial_id] = reason_of(str(trial.get_error()))
