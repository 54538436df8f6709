"""Ctrl-C during a search."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune


class Interrupts(tune.Callback):  # type: ignore[misc]  # Ray ships no types
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
