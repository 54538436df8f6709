"""Chooses finished trials: by rule, such as the knee of the frontier, by the name of a fixed recipe, or by id."""

from collections.abc import Mapping, Sequence

import numpy as np

from analysis.evidence.comparisons import Confirmed
from analysis.evidence.words import in_words
from analysis.pareto.frontier import OURS, compute_metric, eligible, estimate, feasible, frontier, metric
from analysis.pareto.no_verdict import wrong_with_the_reference
from analysis.pareto.parity import at_parity, label, trial_bound
from analysis.pareto.reference_point import outside
from analysis.run.trials import Run, Trial
from trainables.errors import InvalidInput
from trainables.execution.ending import State

ONE = ("knee", "parity", "max-robust")  # rules that choose one trial
CHOICES = (*ONE, "all")


def picks(run: Run, hows: Sequence[str], confirmed: Mapping[str, Confirmed] | None = None) -> list[Trial]:
    """Choose trials in several ways, each trial once, in the order of the ways.

    Args:
        run: the run to choose from.
        hows: each a rule of `pick`, the name of a fixed recipe, or the beginning of one trial's id.
        confirmed: what confirmations found, by the trials' ids; "parity" is then the cheapest trial that is confirmed
            to be at parity, or, where there is none, the cheapest that was found so and not refuted.

    Raises:
        InvalidInput: nothing fits one of them.
    """
    chosen = [
        trial
        for how in hows
        for trial in (pick(run, how, confirmed) if how in CHOICES else [finished_trial(run, how, CHOICES)])
    ]
    return list({trial.id: trial for trial in chosen}.values())


def one_trial(run: Run, wanted: str, confirmed: Mapping[str, Confirmed]) -> Trial:
    """Return the finished trial that a rule of `ONE`, a fixed recipe's name or the beginning of an id means.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    return pick(run, wanted, confirmed)[0] if wanted in ONE else finished_trial(run, wanted, ONE)


def finished_trial(run: Run, wanted: str, words: Sequence[str] = ()) -> Trial:
    """Return the finished trial that a fixed recipe's name or the beginning of an id means.

    Args:
        run: the run.
        wanted: the name, or the beginning of the id.
        words: what else might have been asked for; the message says so where there is no such trial.

    Raises:
        InvalidInput: there is none, or there are several.
    """
    finished = [trial for trial in run.trials if trial.state is State.COMPLETE]
    named = [trial for trial in finished if trial.name == wanted]
    found = named or [trial for trial in finished if wanted and trial.id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(trial.id for trial in found[:5])
        raise InvalidInput(f"{run.folder}: {wanted!r} is the beginning of {len(found)} trials, such as {ids}")
    others = [trial for trial in run.trials if trial.name == wanted or (wanted and trial.id.startswith(wanted))]
    if others:
        raise InvalidInput(f"{run.folder}: trial {others[0].id} has not finished, so it has no network to look at")
    names = ", ".join([*words, *(trial.name or trial.id for trial in finished[:5])])
    some = f", expected one such as {names}" if finished else ", and none has finished"
    raise InvalidInput(f"{run.folder}: no trial is called {wanted!r}{some}")


def pick(run: Run, how: str, confirmed: Mapping[str, Confirmed] | None = None) -> list[Trial]:
    """Choose members of a run's frontier.

    Args:
        run: the run to choose from. Where its search has a model, robust accuracy is as that estimates it, but for
            parity.
        how: "knee": the proposal farthest above the chord from the cheapest to the most robust one, in robust
            accuracy and log10 of compute, both scaled to 0–1 (the cheapest where there is no bend), of the proposals in
            the region that the study asks for, or of all where none lies there; "parity": the cheapest proposal at
            parity with the reference; "max-robust": the most robust proposal, which always goes by that estimate (*best
            score* goes by what was measured); "all": the whole frontier, baselines included.
        confirmed: as for `picks`.

    Raises:
        InvalidInput: nothing on the frontier fits, or `how` is none of these.
    """
    if how not in CHOICES:
        raise InvalidInput(f"pick: got {how!r}, expected one of {', '.join(CHOICES)}")
    chosen = frontier(run)
    if how != "all":
        chosen = [trial for trial in chosen if trial.role in OURS]
    if not chosen:
        raise InvalidInput(f"{run.folder}: nothing to pick, {_why_nothing(run, how)}")
    if how == "max-robust":
        return [max(chosen, key=lambda trial: estimate(trial, "robust_accuracy"))]
    if how == "knee":
        inside = [trial for trial in chosen if outside(run, trial) is None]
        return [_knee(inside or chosen, compute_metric(run.info))]
    return (
        chosen
        if how == "all"
        else [_confirmed_at_parity(run, confirmed or {}) or _cheapest_at_parity(run, chosen, confirmed or {})]
    )


def _why_nothing(run: Run, how: str) -> str:
    """Says why nothing can be picked from a run's frontier, and what can be picked all the same."""
    if not any(trial.state is State.COMPLETE for trial in run.trials):
        return "no recipe has finished"
    whom = "recipe" if how == "all" else "proposal"
    return f"no finished {whom} is on the frontier; a baseline's name or the beginning of an id picks any that finished"


def warnings(run: Run, trials: Sequence[Trial], confirmed: Mapping[str, Confirmed]) -> list[str]:
    """Return lines on chosen trials: whether each is found or confirmed, and why one lies outside the region.

    Args:
        run: the run.
        trials: the trials that were chosen.
        confirmed: what confirmations found, by the trials' ids.
    """
    lines = []
    for trial in trials:
        found = confirmed.get(trial.id)
        if found is not None:
            lines.append(f"{label(trial)}: confirmed: {in_words(found)}")
        elif trial.role in OURS:
            lines.append(
                f"{label(trial)}: found, not confirmed: one seed, the images that the search chose by, and its own "
                f"attack; `temper confirm {run.folder.typed} --pick {trial.id[:8]}` makes evidence"
            )
        if why := outside(run, trial):
            lines.append(f"{label(trial)}: outside the region that the study asks for: {why}")
        if trial.role in OURS and not feasible(run, trial):
            lines.append(f"{label(trial)}: breaks a constraint of the study")
    return lines


def first_pick(run: Run) -> str | None:
    """Return the choice to offer first: "knee", or "all" where no proposal is on the frontier; None if it is empty."""
    roles = {trial.role for trial in frontier(run)}
    return "knee" if roles & set(OURS) else "all" if roles else None


def _knee(trials: Sequence[Trial], compute: str) -> Trial:
    plane = np.array([[metric(trial, compute), estimate(trial, "robust_accuracy")] for trial in trials])
    usable = np.isfinite(plane).all(axis=1) & (plane[:, 0] > 0)
    if not usable.any():
        return trials[0]
    kept = [trial for trial, use in zip(trials, usable, strict=True) if use]
    points = plane[usable]
    points[:, 0] = np.log10(points[:, 0])
    spread = np.ptp(points, axis=0)
    points = (points - points.min(axis=0)) / np.where(spread > 0, spread, 1.0)
    start, end = (
        points[np.lexsort((-points[:, 1], points[:, 0]))[0]],
        points[np.lexsort((points[:, 0], -points[:, 1]))[0]],
    )
    across, up = end - start
    above = (points[:, 1] - start[1]) * across - (points[:, 0] - start[0]) * up  # distance times the chord's length
    best = np.flatnonzero(above >= above.max() - 1e-12)
    return kept[int(best[np.argmin(points[best, 0])])]


def _confirmed_at_parity(run: Run, confirmed: Mapping[str, Confirmed]) -> Trial | None:
    """Return the cheapest finished trial that is confirmed to be at parity, every check passed; None: there is none."""
    level = [
        trial
        for trial in run.trials
        if trial.id in confirmed
        and trial.role in OURS
        and eligible(run, trial)
        and confirmed[trial.id].parity == "yes"
        and not confirmed[trial.id].doubts
    ]
    return min(level, key=lambda trial: metric(trial, compute_metric(run.info)), default=None)


def _cheapest_at_parity(run: Run, trials: Sequence[Trial], confirmed: Mapping[str, Confirmed]) -> Trial:
    reference, margin = run.reference, float(run.info.get("parity_margin", 0.01))
    if reference is None or reference.robust_correct is None:
        raise InvalidInput(f"{run.folder}: parity needs the reference, and it did not finish; try knee or max-robust")
    if useless := wrong_with_the_reference(run):
        raise InvalidInput(f"{run.folder}: nothing is at parity: {useless}; try knee or max-robust")
    refuted = {name for name, found in confirmed.items() if found.parity == "no"}
    level = [trial for trial in trials if at_parity(trial, reference, margin) and trial.id not in refuted]
    if not level:
        bounds = [bound for bound in (trial_bound(trial, reference) for trial in trials) if bound is not None]
        reached = f"the best lower bound reached is {max(bounds):+.4f}" if bounds else "none was measured beside it"
        raise InvalidInput(
            f"{run.folder}: no proposal on the frontier is at parity with {label(reference)} "
            f"(needs a lower bound above {-margin:+.4f}; {reached})"
        )
    compute = compute_metric(run.info)
    return min(level, key=lambda trial: metric(trial, compute))
