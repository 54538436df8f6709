"""What became of a trial: from Tune's last result, and back into Optuna out of the record."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from analysis.run.trials import State
from search.events import Outcome


def outcome_of(
    result: dict[str, Any] | None, error: str | None, objectives: Sequence[str], stopped: str | None = None
) -> Outcome:
    """What Tune's last result says. A trial that ended without a final row, and was not stopped, was lost."""
    return replace(_ending(result, error, objectives, stopped), node=(result or {}).get("node"))


def _ending(
    result: dict[str, Any] | None, error: str | None, objectives: Sequence[str], stopped: str | None
) -> Outcome:
    seconds = float((result or {}).get("busy_seconds", 0.0))
    if stopped and not error:
        return Outcome(State.PRUNED, stopped, None, seconds)
    if error or not result or not result.get("finished"):
        return Outcome(
            State.FAIL, error or (result or {}).get("failed") or "ended before its last epoch", None, seconds
        )
    if result.get("reason"):
        return Outcome(State.PRUNED, str(result["reason"]), None, seconds)
    prefix = "metrics/"  # Tune flattens what it hands to a searcher
    metrics = {key.removeprefix(prefix): float(value) for key, value in result.items() if key.startswith(prefix)}
    if missing := [name for name in objectives if name not in metrics]:
        return Outcome(State.FAIL, f"not measured: {', '.join(missing)}", None, seconds)
    if bad := [name for name in objectives if not math.isfinite(metrics[name])]:
        return Outcome(State.PRUNED, f"not finite: {', '.join(bad)}", None, seconds)
    return Outcome(State.COMPLETE, None, metrics, seconds, result.get("robust_correct"), result.get("examples"))
