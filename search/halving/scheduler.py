"""Defines the Ray Tune scheduler: who gets a free process, and which proposals the judge of halving stops."""

from typing import Any

from ray.tune.schedulers import FIFOScheduler

from search.failures import ending_of, error_of
from search.halving.judge import Judge
from trainables.execution.ending import Ending
from trainables.execution.report import Report


class ParetoHalving(FIFOScheduler):  # type: ignore[misc]  # Ray ships no types
    """Scheduler that runs trials in the order in which they come, and stops the proposals that the judge stops.

    A trial whose process is being started waits for it. Tune's own FIFO order gives it the first process that another
    trial leaves, and ends the one that was being started; where trials are shorter than the start of a process, as on a
    machine with many slots, those slots are then never used.

    Attributes:
        failures: how each failed trial failed, by Tune's trial id. Tune tells schedulers of it, but not searchers.
        stops: how each stopped trial was stopped, by Tune's trial id.
    """

    def __init__(self, judge: Judge | None) -> None:
        """Create a scheduler.

        Args:
            judge: decides which proposals are stopped; None: no trial is stopped.
        """
        super().__init__()
        self._judge = judge
        self.failures: dict[str, Ending] = {}
        self.stops: dict[str, Ending] = {}

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Choose none: Tune then gives free processes to the trials that have none, in the order of their coming."""
        return None

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Ask the judge about an epoch. Tune calls this after each epoch but the last."""
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
        self.failures[trial.trial_id] = ending_of(error_of(trial))
