"""The Ray Tune scheduler that stops proposals when the judge of successive halving says so."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from analysis.tables.rungs import SCORE
from search.failures import reason_of
from search.halving.judge import Judge


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
