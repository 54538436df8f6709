"""Says why a run has no verdict: its reference, or all of its recipes, are of no use for a comparison."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.pareto.frontier import OURS, excess, feasible, metric
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from trainables.evaluation.chance import at_chance, learnt_nothing
from trainables.execution.ending import State

MOST_REASONS = 3  # reasons of failures that are listed


def why_no_verdict(run: Run) -> str | None:
    """Return why a run's recipes cannot be held against its reference, in words; None where they can.

    The reference must have finished, and its robust accuracy must be above chance. Of the recipes that the search
    finished, one at least must satisfy the constraints and be better than chance.
    """
    reference, ours = wrong_with_the_reference(run), [trial for trial in run.trials if trial.role in OURS]
    finished = [trial for trial in ours if trial.state is State.COMPLETE]
    if finished:
        useless = _wrong_with_all(run, finished)
    else:
        ended = _reasons(ours)
        none = f"no proposal finished, so there is nothing to hold against the baselines{ended}"
        useless = (
            none if ended or reference is None else None
        )  # beside the other, it is no news that none has ended yet
    return "; besides, ".join(one for one in (reference, useless) if one is not None) or None


def _wrong_with_all(run: Run, finished: Sequence[Trial]) -> str | None:
    """Return why none of the recipes that the search finished is of use; None where one is."""
    kept = [trial for trial in finished if feasible(run, trial)]
    if not kept:
        return f"no proposal meets the constraints: {_missed(run, finished)}"
    if not all(at_chance(trial.metrics) for trial in kept):
        return None
    at_best = max(kept, key=lambda trial: metric(trial, "robust_accuracy"))
    return f"no proposal is better than chance (the one of the best score: {at_chance(at_best.metrics)})"


def wrong_with_the_reference(run: Run) -> str | None:
    """Return why nothing can be compared with the reference, in words; None where it can."""
    reference = run.reference
    if reference is None:
        lost = next((trial for trial in run.trials if trial.id == run.info["reference"] and trial.reason), None)
        why = f" ({lost.stands}: {lost.reason})" if lost else ""
        return f"the reference did not finish{why}, so there is nothing to compare with"
    name, robust = reference.name or summary(reference.recipe), metric(reference, "robust_accuracy")
    if math.isnan(robust):
        return f"the reference did not finish with a robust accuracy, so there is nothing to compare {name} with"
    if nothing := learnt_nothing(reference.metrics):
        return f"the reference, {name}, has learnt nothing: {nothing}"
    if robust == 0:
        return f"the robust accuracy of the reference, {name}, is 0: the attack succeeds on every image"
    if chance := at_chance(reference.metrics):
        return f"the reference, {name}, is no better than chance under attack: {chance}"
    return None


def _reasons(trials: Sequence[Trial]) -> str:
    """Return how trials ended, the most frequent reasons first, as the end of a sentence; empty where none ended."""
    ended = Counter(f"{trial.stands}: {trial.reason}" for trial in trials if trial.reason is not None)
    if not ended:
        return ""
    told = [f"{count} × {reason}" for reason, count in ended.most_common(MOST_REASONS)]
    more = ended.total() - sum(count for _, count in ended.most_common(MOST_REASONS))
    return f"; {ended.total()} ended: {'; '.join(told)}" + (f"; {more} for other reasons" if more else "")


def _missed(run: Run, trials: Sequence[Trial]) -> str:
    """Return which constraints the trials break, how many of them, and by how much those that are nearest."""
    parts = []
    for bound in run.info.get("constraints", ()):
        beyond = {trial.id: excess(run, trial, bound) for trial in trials}
        broken = [trial for trial in trials if not beyond[trial.id] <= 0]
        if broken:
            nearest = min(broken, key=lambda trial: (math.isnan(beyond[trial.id]), beyond[trial.id]))
            number = f"{len(broken)} of {len(trials)}" if len(trials) > 1 else "the one that finished"
            best = "the nearest " if len(broken) > 1 else ""
            parts.append(f"{number} broke {bound['text']}, {_value(nearest, bound, beyond[nearest.id], best)}")
    return "; ".join(parts)


def _value(trial: Trial, bound: Mapping[str, Any], beyond: float, best: str) -> str:
    if math.isnan(beyond):
        return "which was not measured"
    side = "too low" if bound["at_least"] else "too high"
    return f"{best}with {metric(trial, bound['metric']):.4g}, {beyond:.3g} {side}"
