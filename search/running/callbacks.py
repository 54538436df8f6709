"""Ray Tune callbacks: epochs that hang, interrupts by the user, and statistics that nobody reads."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray import tune

from trainables.execution.ending import Ending, EndKind


class HangCallback(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Kills the process of a trial whose epoch takes too long, so that Tune starts it again or gives it up.

    A process that hangs, or that the network hides, cannot end itself: the driver watches. A trial builds and
    compresses its network in its first epoch.

    Attributes:
        endings: how a trial was killed, by Tune's trial id, until it starts again.
    """

    def __init__(
        self,
        timeout: float | None,
        kill: Callable[[Any], None] = ray.kill,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take how long an epoch may take, in seconds from its start to its report; None: for ever."""
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
        """Called when it has lost its process and waits for another."""
        self._since.pop(trial.trial_id, None)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune about ten times a second."""
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
    """Raises Ctrl-C between two steps of Tune's loop; raised wherever it falls, Ray's own code sometimes swallows it.

    A second Ctrl-C is raised where it falls, in case the loop hangs.
    """

    def __init__(self) -> None:
        self._asked = False

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Listen to Ctrl-C in this context, which must be entered in the main thread to have an effect."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def on_step_begin(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Called by Tune about ten times a second."""
        if self._asked:
            raise KeyboardInterrupt

    def _note(self, *_: Any) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True


class ForgetCallback(tune.Callback):  # type: ignore[misc]  # Ray ships no types
    """Drops Tune's statistics of every number that a trial reported, once it has ended: 80 KiB that nobody reads."""

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        trial.metric_analysis.clear()
        trial.metric_n_steps.clear()
