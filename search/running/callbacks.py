"""Defines Ray Tune callbacks: for trials that hang, for a search that must end, and for statistics nobody reads."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray import tune

from trainables.execution.ending import Ending, EndKind


class HangCallback(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Kills the process of a trial whose epoch takes too long, so that Tune starts it again or gives it up.

    The driver watches, because a process that hangs, or that the network no longer reaches, cannot end itself. A
    trial's first epoch includes building and compressing its network.

    Attributes:
        endings: how each killed trial was ended, by Tune's trial id, until it starts again.
    """

    def __init__(
        self,
        timeout: float | None,
        kill: Callable[[Any], None] = ray.kill,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create the callback.

        Args:
            timeout: seconds that an epoch may take, from its start to its report; None: any time.
            kill: kills a Ray actor.
            clock: returns a time in seconds.
        """
        self._timeout, self._kill, self._clock = timeout, kill, clock
        self._since: dict[str, tuple[float, Any]] = {}
        self.endings: dict[str, Ending] = {}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.endings.pop(trial.trial_id, None)
        self._since[trial.trial_id] = self._clock(), trial

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self._since[trial.trial_id] = self._clock(), trial

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._since.pop(trial.trial_id, None)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._since.pop(trial.trial_id, None)

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Stop watching a trial that has lost its process and waits for another one."""
        self._since.pop(trial.trial_id, None)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Kill the trials whose epoch takes too long. Tune calls this about ten times a second."""
        if self._timeout is None:
            return
        now = self._clock()
        for name, (since, trial) in list(self._since.items()):
            actor = trial.temporary_state.ray_actor
            if now - since > self._timeout and actor is not None:
                del self._since[name]
                reason = f"no epoch for {self._timeout:g} s (budget.epoch_timeout)"
                self.endings[name] = Ending(EndKind.HUNG, reason)
                self._kill(actor)


class InterruptCallback(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Asks between two steps of Tune's loop whether the search must end: for a signal, or since its run is lost.

    An exception that is raised at any other moment is sometimes swallowed by Ray's code.
    """

    def __init__(self, checks: Sequence[Callable[[], object]]) -> None:
        """Create the callback; each of `checks` raises, or ends the process, if the search must end."""
        self._checks = checks

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Ask. Tune calls this about ten times a second."""
        for check in self._checks:
            check()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the checks out of a pickle. Tune pickles each callback, and reads that only to restore a tuner."""
        return {}


class ForgetCallback(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Drops Tune's statistics of the numbers that a trial reported, once it has ended: 80 KiB that nobody reads."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()
