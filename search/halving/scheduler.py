"""The Ray Tune scheduler that stops proposals when the judge of successive halving says so."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from search.failures import ending_of
from search.halving.judge import Judge
from trainables.execution.ending import Ending
from trainables.execution.report import Report


class ParetoHalving(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """First come, first served; stops proposals that the judge would not let go on.

    Attributes:
        failures: how a trial failed, by Tune's trial id, which Tune tells schedulers but not searchers.
        stops: how a trial was stopped, likewise.
    """

    def __init__(self, judge: Judge | None) -> None:
        """Take a judge, or None to stop nobody."""
        super().__init__()
        self._judge = judge
        self.failures: dict[str, Ending] = {}
        self.stops: dict[str, Ending] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Called after each epoch but the last."""
        config = trial.config
        if self._judge is None or config["role"] != "proposed":
            return str(self.CONTINUE)
        epochs = int(config["recipe"]["schedule"]["epochs"])
        stopped = self._judge.report(config["id"], int(config["number"]), epochs, Report.of_result(result).row)
        if stopped is None:
            return str(self.CONTINUE)
        self.stops[trial.trial_id] = stopped
        return str(self.STOP)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self.failures[trial.trial_id] = ending_of(str(trial.get_error()))
