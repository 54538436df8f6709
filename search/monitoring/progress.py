"""Prints one line for each trial that ends and, on a terminal, keeps a line below them that says how far it is."""

import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar, TextIO

from analysis.run.summary import summary
from search.events import Listener, Outcome, Proposal
from search.monitoring.sketch import bar, length_of, marks_of
from search.monitoring.tally import Tally
from trainables.evaluation.remarks import remarks

CLEAR = "\r\x1b[K"  # moves the cursor to the start of the line, and erases the line
BAR = 24  # characters of a bar
SELDOM = 30.0  # seconds from one line on how far a task is to the next, where there is no status line


class Terminal:
    """Prints lines and, where output goes to a terminal, keeps a status line below them.

    Bars of all commands are drawn here; `search.monitoring.watching` alone redraws a whole screen.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins without a status line.

        Args:
            stream: where to print; None: to the standard output, whatever that is at the time.
            clock: returns a time in seconds.
        """
        self._stream, self._clock = stream, clock
        out = stream or sys.stdout
        self._live = not out.closed and out.isatty()
        self._marks = marks_of(getattr(out, "encoding", None))
        self._status = ""
        self._task: tuple[str, int] | None = None  # what is being done, and of how many parts
        self._first, self._begun, self._told = 0, 0.0, 0.0  # parts that were done when it began; times

    def line(self, text: str) -> None:
        """Print one line. That it cannot be printed ends nothing, as where a pipe is closed."""
        self._show(f"{CLEAR}{text}\n{self._status}" if self._live else f"{text}\n")

    def status(self, text: str) -> None:
        """Replace the status line at the bottom, which is cut at the terminal's width: only one line can be erased.

        Where output goes to a file, nothing is printed.
        """
        self._status = text[: shutil.get_terminal_size().columns - 1]
        if self._live:
            self._show(CLEAR + self._status)

    def doing(self, text: str, done: int = 0, total: int = 0) -> None:
        """Show what is being done in the status line, as a bar where it has parts.

        Where output goes to a file, it is a line once in a while, so that what is over soon prints none.

        Args:
            text: says what it is; another text or total is another task.
            done: number of its parts that are done.
            total: number of its parts; 0: it has none.
        """
        now = self._clock()
        if (text, total) != self._task:
            self._task, self._first, self._begun, self._told = (text, total), done, now, now
        left = ""
        if self._first < done < total:
            left = f", about {length_of((now - self._begun) * (total - done) / (done - self._first))} left"
        counted = f"{done:,} of {total:,}{left}"
        if self._live:
            self.status(f"{text}  {bar(done / total, BAR, self._marks)} {counted}" if total else text)
        elif total and now - self._told >= SELDOM:
            self._told = now
            self.line(f"{text}: {counted}")

    def _show(self, text: str) -> None:
        """Write what the output can take."""
        with suppress(OSError, ValueError):  # closed, by a reader such as `head`, or by the user's own code
            try:
                print(text, end="", flush=True, file=self._stream)
            except UnicodeEncodeError as error:
                shown = text.encode(error.encoding, "replace").decode(error.encoding)
                print(shown, end="", flush=True, file=self._stream)


@dataclass
class Progress(Listener):
    """Prints a line for each trial that ends, and updates the status line.

    Attributes:
        tally: counts of the search; it must be told of each event before this listener is.
        total: number of trials that the search will run.
        slots: number of trials at once.
        widest: length of the longest name of a fixed recipe, which sets the column's width.
        started: `time.perf_counter()` when the command began, s.
        show: prints a line.
        status: replaces the status line at the bottom.
        busy: seconds for which trials have kept slots busy since this driver began; those before a resume do not count.
        ended_now: number of recipes that have ended since this driver began.
    """

    live_only: ClassVar[bool] = True  # no line is printed twice

    tally: Tally
    total: int
    slots: int
    widest: int
    started: float
    show: Callable[[str], None]
    status: Callable[[str], None] = lambda text: None
    busy: float = field(default=0.0, init=False)
    ended_now: int = field(default=0, init=False)

    def begin(self) -> None:
        """Print the header of the table that the trials' lines make up."""
        wide = len(str(self.total))
        columns = f"{'robust':>6} {'clean':>6}  {'train FLOPs':>11} {'':8}"
        self.show(f"{'':>{2 * wide + 1}}  {'time':>6}  {'trial':{self._width}s} {columns}  recipe")

    def closed(self, reason: str) -> None:
        """Print why nothing more is proposed although the budget has trials left."""
        self.show(f"no more proposals: {reason}")

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        """Print that a trial was left for a resumed search."""
        what = summary(proposal.recipe.model_dump(mode="json"))
        self.show(f"{proposal.name or proposal.role}: {reason}; left unfinished, for `temper resume`: {what}")

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """Print one line for the trial that has just ended, and update the status line.

        What is wrong with the numbers of a base or a baseline is a line of its own, since others are held against it.
        """
        self.busy += outcome.seconds
        self.ended_now += 1
        wide = len(str(self.total))
        what = summary(proposal.recipe.model_dump(mode="json"))
        found = remarks(outcome.metrics or {})
        stands_alone = proposal.role in ("base", "baseline")
        if not stands_alone:  # one line a proposal, so a few words of each remark have to do
            what = "; ".join([what, *(one.partition(":")[0] for one in found)])
        self.show(
            f"{self.tally.total:>{wide}}/{self.total}  {time.perf_counter() - self.started:5.0f}s  "
            f"{proposal.name or proposal.role:{self._width}s} {self._result(outcome)} {what}"
        )
        for one in found if stands_alone else ():
            self.show(f"warning: {proposal.name or proposal.role}{' ' if one.startswith('has ') else ': '}{one}")
        self.status(self._summary())

    @property
    def _width(self) -> int:
        return max(self.widest, len("proposed"))

    def _result(self, outcome: Outcome) -> str:
        if outcome.metrics is None:
            return f"{outcome.state.value.upper()}: {outcome.reason};"
        metrics = outcome.metrics
        flops, whole = metrics["train_flops"], self.tally.reference_flops
        share = f"= {flops / whole:6.1%}" if whole else ""
        return f"{metrics['robust_accuracy']:6.3f} {metrics['clean_accuracy']:6.3f}  {flops:11.3g} {share:9s}"

    def _summary(self) -> str:
        top, best = self.tally.best, ""
        if top is not None:
            best = f", best score {top['robust_accuracy']:.3f} for {top['train_flops']:.3g} FLOPs"
        return f"{self.tally.total} of {self.total} done{best}, about {self._seconds_left():.0f} s left"

    def _seconds_left(self) -> float:
        """Estimate the seconds left from the mean of those that ended; what runs now counts as not begun."""
        return (self.total - self.tally.total) * (self.tally.mean_seconds() or 0.0) / self.slots
