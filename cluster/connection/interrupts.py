"""Turns Ctrl-C, SIGTERM and SIGHUP into one exception, which is raised only where it does no harm."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

SIGNALS = {signal.SIGINT: "Ctrl-C (SIGINT)", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
ONCE_SECONDS = 2.0  # signals within so short a time are one request: some senders signal a process and its group


class Interrupted(KeyboardInterrupt):
    """Raised in place of KeyboardInterrupt; `code` is the exit code that shells expect, `reason` names the signal."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.code = 128 + number
        self.reason = SIGNALS[signal.Signals(number)]


class Interrupts:
    """The signals that ask this process to end.

    The first one raises Interrupted at once or, while a `deferred` context lasts, at the next `check` or at its end.
    Another one, some seconds later, ends the process and all that it started without waiting for anything.

    Attributes:
        farewell: is called before the process ends in that way.
    """

    def __init__(
        self,
        leave: Callable[[int], object] = os._exit,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it without listening to any signal yet; `leave` ends the process, `clock` returns seconds."""
        self.farewell: Callable[[], object] = lambda: None
        self._leave, self._clock = leave, clock
        self._depth, self._first, self._received = 0, 0.0, 0
        self._listening, self._process = False, os.getpid()

    def listen(self) -> None:
        """Handle the signals from now on. SIGHUP stays ignored where this process was told so, as by nohup.

        SIGINT does not: shells have background commands ignore it, but who sends it to one by hand wants it to end.

        Ray sets handlers of its own when it starts, see `exits`.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._listening, self._process = True, os.getpid()
        for number in SIGNALS:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._receive)

    @contextmanager
    def listening(self, farewell: Callable[[], object]) -> Iterator[None]:
        """Handle the signals for as long as the context lasts, for a caller that goes on afterwards.

        Who listens already, or is not the main thread, in which alone a signal can be handled, keeps what is.

        Args:
            farewell: is called when the context is interrupted, and before the process ends by a second signal.
        """
        if self._listening or threading.current_thread() is not threading.main_thread():
            yield
            return
        before, farewell_before = {number: signal.getsignal(number) for number in SIGNALS}, self.farewell
        self.farewell = farewell
        self.listen()
        try:
            yield
        except Interrupted:
            farewell()
            raise
        finally:
            self._listening, self._received, self.farewell = False, 0, farewell_before
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Raise nothing while the context lasts, except in `check`; a signal that came meanwhile is raised at its end.

        Code of Ray's sometimes swallows an exception that a signal raises.
        """
        self._depth += 1
        try:
            yield
        except Exception:
            if self._received:  # the error follows from the signal, which processes of Ray's have got as well
                raise Interrupted(self._received) from None
            raise
        finally:
            self._depth -= 1
        if not self._depth:
            self.check()

    @contextmanager
    def exits(self) -> Iterator[None]:
        """Take SystemExit in this context for the signal of its number, since Ray's handler raises that for SIGTERM.

        The signals are handled here again once the context ends.
        """
        try:
            yield
        except SystemExit as error:
            if not self._listening or error.code != signal.SIGTERM:
                raise
            self._received, self._first = self._received or int(signal.SIGTERM), self._clock()
            raise Interrupted(self._received) from None
        finally:
            if self._listening:
                self.listen()

    def check(self) -> None:
        """Raise Interrupted if a signal came; also where it was raised before, and something swallowed it."""
        if self._received:
            raise Interrupted(self._received)

    def abandon(self, reason: str) -> None:
        """End the process and all that it started, at once, with exit code 1; for any thread.

        Args:
            reason: why, in words, which are printed before the farewell.
        """
        print(reason, file=sys.stderr, flush=True)
        self.farewell()
        end(descendants(os.getpid()))
        self._leave(1)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:  # one that the user's code has forked, such as a worker of multiprocessing
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif not self._received:
            self._received, self._first = number, self._clock()
            if not self._depth:
                self.check()
        elif self._clock() - self._first > ONCE_SECONDS:
            self.farewell()
            end(descendants(os.getpid()))
            self._leave(128 + number)


INTERRUPTS = Interrupts()  # of this process, as signals are


def end(processes: Iterable[int]) -> None:
    """Kill processes; those that have ended already do not matter."""
    for pid in processes:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def started_with(text: str) -> list[int]:
    """Return the processes below this one whose command line contains a text, and all that those have started."""
    found: list[int] = []
    for pid in descendants(os.getpid()):
        with suppress(OSError):
            if text in Path(f"/proc/{pid}/cmdline").read_text(errors="replace"):
                found += [pid, *descendants(pid)]
    return list(dict.fromkeys(found))


def descendants(pid: int) -> list[int]:
    """Return the processes below a process, parents before their children; empty where there is no /proc."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, ValueError, IndexError):
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(0), [])
        found += below
        todo += below
    return found
