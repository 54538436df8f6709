"""Prints one line for each trial that ends and, on a terminal, keeps a line below them that says how far it is."""

import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import ClassVar

from analysis.run.summary import summary
from search.events import Listener, Outcome, Proposal
from search.monitoring.tally import Tally
from trainables.evaluation.remarks import remarks

CLEAR = "\r\x1b[K"  # moves the cursor to the start of the line, and erases the line


class Terminal:
    """Prints lines and, where output goes to a terminal, keeps a status line below them."""

    def __init__(self) -> None:
        self._live = not sys.stdout.closed and sys.stdout.isatty()
        self._status = ""

    def line(self, text: str) -> None:
        """Print one line. That it cannot be printed ends nothing, as where a pipe is closed."""
        _show(f"{CLEAR}{text}\n{self._status}" if self._live else f"{text}\n")

    def status(self, text: str) -> None:
        """Replace the status line at the bottom. Where output goes to a file, nothing is printed."""
        self._status = text
        if self._live:
            _show(CLEAR + text)


def _show(text: str) -> None:
    """Write to the standard output what it can take."""
    with suppress(OSError, ValueError):  # closed, by a reader such as `head`, or by the user's own code
        try:
            print(text, end="", flush=True)
        except UnicodeEncodeError as error:
            print(text.encode(error.encoding, "replace").decode(error.encoding), end="", flush=True)


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
            best = f", best score of a proposal {top['robust_accuracy']:.3f} for {top['train_flops']:.3g} FLOPs"
        return f"{self.tally.total} of {self.total} done{best}, about {self._seconds_left():.0f} s left"

    def _seconds_left(self) -> float:
        """Estimate the seconds left from the mean of those that ended; what runs now counts as not begun."""
        return (self.total - self.tally.total) * (self.tally.mean_seconds() or 0.0) / self.slots
