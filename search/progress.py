"""What a person reads while a search runs: one line a trial, plain text, and how long it may still take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from analysis.trials import summary
from search.searcher import Outcome, Proposal, State


@dataclass
class Progress:
    """Prints what happens.

    Attributes:
        total: trials that the search will run.
        slots: trials at once.
        reference: id of the baseline that compute is compared with.
        started: clock reading when the command began, s.
    """

    total: int
    slots: int
    reference: str
    started: float
    show: Callable[[str], None] = print
    busy: float = field(default=0.0, init=False)
    _done: int = field(default=0, init=False)
    _best: float = field(default=0.0, init=False)
    _reference_flops: float | None = field(default=None, init=False)

    def proposed(self, proposal: Proposal) -> None:
        """Nothing to say yet: a trial gets its line when it ends."""

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """One line for the trial that just ended."""
        self._done += 1
        self.busy += outcome.seconds
        elapsed = time.perf_counter() - self.started
        remaining = (self.total - self._done) * self.busy / self._done / self.slots
        head = f"[{self._done:>{len(str(self.total))}}/{self.total}] {elapsed:5.0f} s"
        tail = f"about {remaining:.0f} s left" if self._done < self.total else "done"
        what = f"{proposal.name or proposal.role}: {summary(proposal.recipe.model_dump(mode='json'))}"
        self.show(f"{head}  {self._result(proposal, outcome)}  {what}  ({tail})")

    def _result(self, proposal: Proposal, outcome: Outcome) -> str:
        if outcome.state is not State.COMPLETE or outcome.metrics is None:
            return f"{outcome.state.value.upper()} {outcome.reason}"
        metrics = outcome.metrics
        flops = metrics["train_flops"]
        if proposal.recipe.id == self.reference:
            self._reference_flops = flops
        if proposal.role == "proposed":
            self._best = max(self._best, metrics["robust_accuracy"])
        share = f" = {flops / self._reference_flops:5.1%} of reference" if self._reference_flops else ""
        best = f" (best proposed {self._best:.3f})" if self._best else ""
        return (
            f"robust {metrics['robust_accuracy']:.3f}{best} clean {metrics['clean_accuracy']:.3f} "
            f"train {flops:.3g} FLOPs{share}"
        )
