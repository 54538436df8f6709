"""Makes a trial's outcome out of its last report and of what the driver knows about its end."""

import math
from collections.abc import Sequence

from search.events import Outcome
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.execution.report import Report


def outcome_of(
    report: Report | None, objectives: Sequence[str], *, failure: Ending | None = None, stopped: Ending | None = None
) -> Outcome:
    """Return the outcome of a trial.

    Args:
        report: its last report, if it sent any.
        objectives: metrics that a finished trial must have measured.
        failure: how it failed, if it did.
        stopped: how the scheduler stopped it, if it did.

    Returns:
        An outcome that is FINISHED, with metrics, only if the last report says so and every objective is a finite
        number. A trial that ended without such a report, and was not stopped, counts as lost.
    """
    seconds = 0.0 if report is None else report.busy_seconds
    node = None if report is None else report.node
    ending = failure or stopped or (None if report is None else report.ending)
    if ending is None or report is None:
        return Outcome(ending or Ending(EndKind.LOST, "ended before its last epoch"), None, seconds, node=node)
    metrics = report.metrics
    if ending == FINISHED:
        if missing := [name for name in objectives if name not in metrics]:
            ending = Ending(EndKind.NOT_MEASURED, f"not measured: {', '.join(missing)}")
        elif bad := [name for name in objectives if not math.isfinite(metrics[name])]:
            ending = Ending(EndKind.NOT_FINITE, f"not finite: {', '.join(bad)}")
    if ending != FINISHED:
        return Outcome(ending, None, seconds, node=node)
    return Outcome(ending, dict(metrics), seconds, report.robust_correct, report.examples, node)
