"""Says what a confirmation came to: a table, and a sentence for each pick that says as plainly if it lost."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from analysis.evidence.comparisons import Comparison, Confirmed, comparisons, pairs
from analysis.evidence.conditions import conditions_of
from analysis.evidence.confirmation import Confirmation, read_confirmations
from analysis.evidence.rows import row, rows
from analysis.evidence.sign_flip import smallest_p
from analysis.evidence.verdict import Verdict
from analysis.run.trials import Run
from trainables.evaluation.config import Strength, threat_words
from trainables.value_forms import counted

SHOWN = 3  # failed trainings that a sentence names
ENSEMBLE: Mapping[Strength, str] = {
    "quick": "the quick ensemble",
    "standard": "the ensemble",
    "full": "the full ensemble",
}


def table(confirmation: Confirmation) -> list[str]:
    """Return who is confirmed, and a line of the table for each, with what selection and weak attacks had flattered."""
    widest = max((len(one.name) for one in confirmation.entries), default=0)
    found = rows(confirmation)
    lines = [f"{one.entry.name:{widest}}  {one.recipe}" for one in found if one.recipe]
    lines += [
        "",
        f"{'':{widest}}  validation   test: scored  ensemble   spread   clean  marginal  end-to-end    MACs  seeds",
    ]
    for one in found:
        if not one.seeds:
            failed = confirmation.failed(one.entry)
            lines.append(f"{one.entry.name:{widest}}  {'no network' if failed else 'not attacked yet'}")
            continue
        spread = f"±{one.spread:.3f}" if one.seeds > 1 else "      "
        lines.append(
            f"{one.entry.name:{widest}}       {one.validation:.3f}         {one.scored:.3f}     {one.robust:.3f}"
            f"   {spread}   {one.clean:.3f}  {one.train_flops:8.2e}    {one.end_to_end_flops:8.2e}"
            f"  {one.mac_ratio:6.1%}  {one.seeds}/{len(confirmation.seeds)}"
            + (f"  surrogate {one.surrogate:.3f}, file {one.file:.3f}" if not math.isnan(one.file) else "")
            + (f"  UNRELIABLE in {one.doubtful}" if one.doubtful else "")
        )
    return lines


def verdicts(confirmation: Confirmation) -> list[str]:
    """Return a sentence for each pick and what it is held against, and one for each pair that can have no verdict."""
    made = comparisons(confirmation)
    lines = [
        _sentence(confirmation, one, [other for other in made if other.pick == one.pick and other.is_opponent])
        for one in made
        if not one.is_opponent
    ]
    for pick, other in pairs(confirmation):
        failed = [f"{one.name} with {said}" for one in (pick, other) for said in confirmation.failed(one)]
        if failed:
            lines.append(
                f"No verdict on {pick.name} against {other.name}: training came to nothing, {_all_of(failed)}."
            )
    return lines


def _all_of(failed: Sequence[str]) -> str:
    return "; ".join(failed[:SHOWN]) + (f"; and {len(failed) - SHOWN} more" if len(failed) > SHOWN else "")


def sentences(confirmation: Confirmation) -> list[str]:
    """Return the verdicts, and a sentence on what the intervals mean."""
    lines, made, seeds = verdicts(confirmation), comparisons(confirmation), len(confirmation.seeds)
    if made:
        planned = len(pairs(confirmation))
        again = [one for one in made if confirmation.looks.get((one.pick.id, one.other.id), 0)]
        if again:
            lines.append(
                f"{len(again)} of {counted(planned, 'comparison')} had been looked at before. Each "
                "further look at one has half the probability of error of the one before, so that all together have at "
                "most twice the first's."
            )
        together = f" for all {planned} comparisons together" if planned > 1 else ""
        lines.append(
            f"Bounds are one-sided, 95%{together}, over seeds and images, under "
            f"{threat_words(confirmation.setting.threat_model)}. The sign-flip test, which knows seeds alone and gives "
            f"p ≥ {smallest_p(seeds):.3g} with {counted(seeds, 'seed')}, says of the pick being better: "
            + ", ".join(f"p = {one.p:.3g} against {one.other.name}" for one in made)
            + "."
        )
    return lines


def _sentence(confirmation: Confirmation, one: Comparison, opponents: Sequence[Comparison]) -> str:
    ours, theirs = (float(confirmation.robust(who).mean()) for who in (one.pick, one.other))
    ensemble, seeds = ENSEMBLE[confirmation.setting.attack], len(confirmation.seeds)
    words = (
        f"{_upper(one.pick.name)} reaches {ours:.3f} against {one.other.name}'s {theirs:.3f} under {ensemble} "
        f"({_points(one.verdict.estimate.mean)} points, {_bounds(one.verdict)}, {counted(seeds, 'fresh seed')}: "
        f"{_answer(one.verdict)}) for {_costs(confirmation, one)}"
    )
    for other in opponents:
        better = {"yes": "better", "no": "no better", "undecided": "undecided"}[other.verdict.better]
        words += (
            f"; against the best fast baseline at equal end-to-end compute, {other.other.name}, it is "
            f"{_points(other.verdict.estimate.mean)} ({_bounds(other.verdict)}: {better})"
        )
    doubts = [*confirmation.doubts(one.pick), *confirmation.doubts(one.other)]
    return f"{words}." + (f" UNRELIABLE: {'; '.join(dict.fromkeys(doubts))}." if doubts else "")


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _points(difference: float) -> str:
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def _bounds(verdict: Verdict) -> str:
    return f"{_points(verdict.low)} to {_points(verdict.high)}"


def _answer(verdict: Verdict) -> str:
    margin = f"{100 * verdict.margin:g} point{'' if verdict.margin == 0.01 else 's'}"
    if verdict.refused:
        return f"no verdict, {verdict.refused}"
    if verdict.better == "yes":
        return "better"
    if verdict.parity == "yes":
        return f"parity within {margin}"
    if verdict.parity == "no":
        return f"no parity, it is more than {margin} below"
    more = verdict.more_seeds
    seeds = f"about {counted(more or 0, 'more seed')} would decide"
    return f"undecided whether within {margin}; {seeds if more else 'more seeds alone would not decide'}"


def _costs(confirmation: Confirmation, one: Comparison) -> str:
    ours, theirs = row(confirmation, one.pick), row(confirmation, one.other)

    def share(name: str, digits: int = 1) -> str:
        whole = getattr(theirs, name)
        return f"{getattr(ours, name) / whole:.{digits}%}" if whole else "an unknown share"

    return (
        f"{share('train_flops')} of its marginal training compute ({share('end_to_end_flops')} end-to-end) and "
        f"{share('inference_macs', 0)} of its inference MACs"
    )


def as_json(confirmation: Confirmation) -> dict[str, Any]:
    """Return what a confirmation came to, as plain data."""
    return {
        "comparisons": [
            {
                "pick": one.pick.name,
                "other": one.other.name,
                "part": one.other.part,
                "difference": one.verdict.estimate.mean,
                "low": one.verdict.low,
                "high": one.verdict.high,
                "margin": one.verdict.margin,
                "parity": one.verdict.parity,
                "better": one.verdict.better,
                "more_seeds": one.verdict.more_seeds,
                "sign_flip_p": one.p,
                "refused": one.verdict.refused,
            }
            for one in comparisons(confirmation)
        ],
        "robust_accuracy": {
            one.name: {
                str(seed): float(confirmation.results[one.name, seed][1].counted.mean()) for seed in confirmation.seeds
            }
            for one in confirmation.entries
            if confirmation.whole(one)
        },
        "unreliable": list(unreliable(confirmation)),
        "conditions": {one.name: dict(one.accuracies) for one in conditions_of(confirmation)},
        "sentences": sentences(confirmation),
    }


def unreliable(confirmation: Confirmation) -> Sequence[str]:
    """Return a line for each trained network whose numbers cannot be trusted."""
    return [
        f"UNRELIABLE: {name}, seed {seed}: {'; '.join(record.unreliable)}"
        for (name, seed), (_, record) in confirmation.results.items()
        if record.unreliable and seed in confirmation.seeds
    ]


def progress(confirmation: Confirmation) -> str:
    """Return how far a confirmation is, in words."""
    whole = len(confirmation.seeds) * len(confirmation.entries)
    seeds = f"{counted(len(confirmation.seeds), 'fresh seed')}, {ENSEMBLE[confirmation.setting.attack]}"
    attacked = f"{len(confirmation.results)} of {counted(whole, 'network')} attacked"
    words = f"confirmation {confirmation.number} ({seeds}): {attacked}"
    failed = len(confirmation.failures)
    return f"{words}, {failed} {'has' if failed == 1 else 'have'} come to nothing" if failed else words


def status_lines(run: Run) -> list[str]:
    """Return what the confirmations of a run have come to, in lines: the verdicts, or how far one is."""
    lines = []
    for one in read_confirmations(run):
        said = [f"confirmation {one.number}: {sentence}" for sentence in verdicts(one)]
        lines += said if said and all(map(one.whole, one.entries)) else [*said, progress(one)]
    return lines


def in_words(one: Confirmed) -> str:
    """Return what a confirmation found of one trial, such as `.702 (.694 to .710) with 6 fresh seeds`."""
    words = f"{one.robust_accuracy:.3f} ({one.low:.3f} to {one.high:.3f}) with {counted(one.seeds, 'fresh seed')}"
    held = {"yes": ", at parity", "no": ", not at parity", "undecided": ", parity undecided", None: ""}[one.parity]
    return f"{words}{held}" + (f", UNRELIABLE: {'; '.join(one.doubts)}" if one.doubts else "")
