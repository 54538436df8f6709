"""Tells whether a recipe is as robust as the reference, and states the result of a search in one sentence."""

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from analysis.pareto.frontier import OURS, estimate, frontier, metric, ratio
from analysis.pareto.no_verdict import why_no_verdict
from analysis.pareto.reference_point import outside
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from trainables.evaluation.chance import at_chance
from trainables.execution.ending import State

ENOUGH = 0.95  # share of the reference's robust accuracy from which the verdict looks for the cheapest recipe
SAME_COMPUTE = 1.05  # a baseline this much dearer still counts as "at that compute"


def lower_bound(a: NDArray[np.bool_], b: NDArray[np.bool_], confidence: float = 0.95) -> float:
    """Return the one-sided lower confidence bound of mean(a) - mean(b), both measured on the same examples.

    With p10 the share of examples that only `a` gets right and p01 that only `b` does, the bound is
    (p10 - p01) - z * sqrt((p10 + p01 - (p10 - p01)^2) / n), the Wald interval for paired proportions (Agresti,
    Categorical Data Analysis, 3rd ed., section 11.1). It covers the choice of examples, not the choice of seed, and is
    too narrow when a handful of examples differ.

    Args:
        a: `(examples,)`, whether the first network was right on each example under attack.
        b: `(examples,)`, the same of the second network, for the same examples in the same order.
        confidence: one-sided confidence level, in (0, 1).

    Raises:
        ValueError: the arrays are empty or differ in shape.
    """
    if a.shape != b.shape or a.ndim != 1 or a.size == 0:
        raise ValueError(f"got arrays of shape {a.shape} and {b.shape}, expected two of the same length, at least 1")
    only_a, only_b = float(np.mean(a & ~b)), float(np.mean(b & ~a))
    variance = (only_a + only_b - (only_a - only_b) ** 2) / a.size
    return only_a - only_b - NormalDist().inv_cdf(confidence) * math.sqrt(max(variance, 0.0))


def trial_bound(trial: Trial, reference: Trial) -> float | None:
    """Return the lower confidence bound of (trial - reference) robust accuracy, see `lower_bound`.

    None if either was not measured, or if they were measured on different numbers of examples.
    """
    a, b = trial.robust_correct, reference.robust_correct
    if a is None or b is None or a.shape != b.shape or a.size == 0:
        return None
    return lower_bound(a, b)


def at_parity(trial: Trial, reference: Trial, margin: float) -> bool:
    """Return whether the lower confidence bound of (trial - reference) robust accuracy (0–1) is above -margin."""
    bound = trial_bound(trial, reference)
    return bound is not None and bound > -margin


def verdict(run: Run) -> str:
    """Return one sentence about a run: how robust its best proposal is beside the reference, for how much compute.

    The sentence is about the proposal on the frontier with the least marginal compute that keeps 95% of the reference's
    robust accuracy, by its score; if there is none, about the one of the best score. Where proposals on the frontier
    lie in the region that the study asks for, only these are considered. It also names the best baseline within the
    same end-to-end compute, and says so if the proposal gives up more robustness, or costs more, than the study allows.
    Where there is nothing to compare, it says why.
    """
    reference, why_not = run.reference, why_no_verdict(run)
    if reference is None or why_not is not None:
        return f"No verdict: {why_not}."
    proposals = [trial for trial in frontier(run) if trial.role in OURS]
    if not proposals:
        return "No proposal is on the frontier: the baselines beat every recipe that the search finished."
    proposals = [trial for trial in proposals if outside(run, trial) is None] or proposals
    whole = metric(reference, "robust_accuracy")
    enough = [trial for trial in proposals if metric(trial, "robust_accuracy") >= ENOUGH * whole]
    if enough:
        chosen = min(enough, key=lambda trial: metric(trial, "train_flops"))
    else:
        chosen = max(proposals, key=lambda trial: metric(trial, "robust_accuracy"))
    robust, beyond = metric(chosen, "robust_accuracy"), outside(run, chosen)
    return (
        f"{label(chosen)} reaches {robust:.3f} robust accuracy{_estimated(chosen)}, {_percent(robust / whole)} of "
        f"{label(reference)}'s {whole:.3f}, for {_percent(ratio(run, chosen, 'train_flops'))} of its marginal compute "
        f"({_percent(ratio(run, chosen, 'end_to_end_flops'))} end-to-end); {_rival(run, chosen)}."
        + (f" It lies outside the region that the study asks for: {beyond}." if beyond else "")
    )


def label(trial: Trial) -> str:
    """Return how a trial is called in sentences: a fixed recipe's name, else the recipe in words."""
    return trial.name if trial.name and trial.role not in OURS else summary(trial.recipe)


def _rival(run: Run, chosen: Trial) -> str:
    """Say which baseline is best within a trial's end-to-end compute, or which is cheapest if none is within it."""
    finished = [
        trial
        for trial in run.trials
        if trial.role == "baseline"
        and trial.state is State.COMPLETE
        and math.isfinite(metric(trial, "robust_accuracy") + metric(trial, "end_to_end_flops"))
        and at_chance(trial.metrics) is None
    ]
    budget = SAME_COMPUTE * metric(chosen, "end_to_end_flops")
    affordable = [trial for trial in finished if metric(trial, "end_to_end_flops") <= budget]
    if not affordable:
        cheapest = min(finished, key=lambda trial: metric(trial, "end_to_end_flops"))
        return (
            f"no baseline is that cheap end-to-end, and the cheapest, {label(cheapest)}, reaches "
            f"{metric(cheapest, 'robust_accuracy'):.3f} for {_percent(ratio(run, cheapest, 'end_to_end_flops'))}"
        )
    best = max(affordable, key=lambda trial: metric(trial, "robust_accuracy"))
    robust = metric(best, "robust_accuracy")
    beats = ", which is no worse" if robust >= metric(chosen, "robust_accuracy") else ""
    return f"the best baseline within that end-to-end compute, {label(best)}, reaches {robust:.3f}{beats}"


def _estimated(trial: Trial) -> str:
    """Say what the search's model makes of a trial, in brackets; empty where there is no model."""
    if not trial.estimate:
        return ""
    value, error = estimate(trial, "robust_accuracy"), trial.estimate["robust_accuracy_stderr"]
    return f" ({value:.3f} ± {error:.3f} by the model of all scores)"


def _percent(share: float) -> str:
    if not math.isfinite(share):
        return "an unknown share"
    return f"{100 * share:.0f}%" if share >= 0.0995 else f"{100 * share:.2g}%"
