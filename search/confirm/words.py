"""Says what a confirmation came to: a table, and a sentence for each pick that says as plainly if it lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from analysis.evidence.crossed import estimate
from analysis.evidence.sign_flip import sign_flip_p, smallest_p
from analysis.evidence.verdict import Verdict, decide
from analysis.run.trials import Trial
from search.confirm.contenders import Contender
from search.confirm.plan import Plan
from search.evaluating.words import threat_words
from trainables.assessment.attack_record import AttackRecord
from trainables.ensemble.ensemble import Strength

Results = Mapping[tuple[str, int], tuple[Trial, AttackRecord]]  # by name of the contender and seed
ENSEMBLE: Mapping[Strength, str] = {
    "quick": "the quick ensemble",
    "standard": "the ensemble",
    "full": "the full ensemble",
}


@dataclass(frozen=True)
class Comparison:
    """A pick held against another contender.

    Attributes:
        pick, other: who is compared.
        verdict: what the difference of robust accuracy, pick minus other, comes to.
        p: p-value of the sign-flip test that the pick is better.
    """

    pick: Contender
    other: Contender
    verdict: Verdict
    p: float

    @property
    def is_opponent(self) -> bool:
        """Whether the other one is a fast opponent at the pick's compute."""
        return self.other.part == "opponent"


def whole(plan: Plan, contender: Contender, results: Results) -> bool:
    """Return whether a contender has a result with every seed."""
    return all((contender.name, seed) in results for seed in plan.seeds)


def comparisons(plan: Plan, results: Results) -> list[Comparison]:
    """Return every comparison of a pick with what it is held against, and with its opponents, as far as they ran."""
    pairs = [
        (pick, other)
        for pick in plan.contenders
        for other in plan.contenders
        if pick.part == "pick"
        and (other.part == "against" or other.pick == pick.name)
        and whole(plan, pick, results)
        and whole(plan, other, results)
    ]
    made = []
    for pick, other in pairs:
        ours, theirs = (robust(plan, one, results) for one in (pick, other))
        found = estimate(ours - theirs)
        verdict = decide(found, margin=plan.margin, comparisons=len(pairs))
        made.append(Comparison(pick, other, verdict, sign_flip_p((ours - theirs).mean(axis=1))))
    return made


def robust(plan: Plan, contender: Contender, results: Results) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Return `(seeds, images)`, 1 where an image stands, else 0."""
    return np.array([results[contender.name, seed][1].robust for seed in plan.seeds], dtype=np.float64)


def table(plan: Plan, results: Results) -> list[str]:
    """Return the table: a line for each contender, with what selection and weak attacks had flattered."""
    widest = max(len(one.name) for one in plan.contenders)
    lines = [
        f"{'':{widest}}  validation   test: scored  ensemble   spread   clean  marginal  end-to-end    MACs  seeds",
    ]
    for one in plan.contenders:
        rows = [results[one.name, seed] for seed in plan.seeds if (one.name, seed) in results]
        if not rows:
            lines.append(f"{one.name:{widest}}  did not finish")
            continue
        scores = np.array([record.robust.mean() for _, record in rows])
        mean = {
            "validation": np.mean([trial.metrics["robust_accuracy"] for trial, _ in rows]),
            "scored": np.mean([record.scored.mean() for _, record in rows]),
            "clean": np.mean([record.clean.mean() for _, record in rows]),
            **{
                name: np.mean([trial.metrics[name] for trial, _ in rows])
                for name in ("train_flops", "end_to_end_flops", "mac_ratio")
            },
        }
        spread = f"±{scores.std(ddof=1):.3f}" if len(scores) > 1 else "      "
        doubtful = sum(bool(record.unreliable) for _, record in rows)
        lines.append(
            f"{one.name:{widest}}       {mean['validation']:.3f}         {mean['scored']:.3f}     {scores.mean():.3f}"
            f"   {spread}   {mean['clean']:.3f}  {mean['train_flops']:8.2e}    {mean['end_to_end_flops']:8.2e}"
            f"  {mean['mac_ratio']:6.1%}  {len(rows)}/{len(plan.seeds)}"
            + (f"  UNRELIABLE in {doubtful}" if doubtful else "")
        )
    return lines


def sentences(plan: Plan, results: Results) -> list[str]:
    """Return a sentence for each pick and what it is held against, and one on what the intervals mean."""
    made = comparisons(plan, results)
    lines = [
        _sentence(plan, one, [other for other in made if other.pick == one.pick and other.is_opponent], results)
        for one in made
        if not one.is_opponent
    ]
    if made:
        lines.append(
            f"Bounds are one-sided, 95% for all {len(made)} comparisons together, over seeds and images, under "
            f"{threat_words(plan.setting.threat_model)}. The sign-flip test, which knows seeds alone and gives p ≥ "
            f"{smallest_p(len(plan.seeds)):.3g} with {len(plan.seeds)} seeds, says of the pick being better: "
            + ", ".join(f"p = {one.p:.3g} against {one.other.name}" for one in made)
            + "."
        )
    return lines


def _sentence(plan: Plan, one: Comparison, opponents: Sequence[Comparison], results: Results) -> str:
    ours, theirs = (float(robust(plan, who, results).mean()) for who in (one.pick, one.other))
    words = (
        f"{_upper(one.pick.name)} reaches {ours:.3f} against {one.other.name}'s {theirs:.3f} under "
        f"{ENSEMBLE[plan.setting.attack]} ({_points(one.verdict.estimate.mean)} points, {_bounds(one.verdict)}, "
        f"{len(plan.seeds)} fresh seeds: {_answer(one.verdict)}) for {_costs(plan, one, results)}"
    )
    for other in opponents:
        better = {"yes": "better", "no": "no better", "undecided": "undecided"}[other.verdict.better]
        words += (
            f"; against the best fast baseline at equal end-to-end compute, {other.other.name}, it is "
            f"{_points(other.verdict.estimate.mean)} ({_bounds(other.verdict)}: {better})"
        )
    return f"{words}."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _points(difference: float) -> str:
    """Return a difference of accuracies in points, with its sign."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def _bounds(verdict: Verdict) -> str:
    return f"{_points(verdict.low)} to {_points(verdict.high)}"


def _answer(verdict: Verdict) -> str:
    margin = f"{100 * verdict.margin:g} point{'' if verdict.margin == 0.01 else 's'}"
    if verdict.better == "yes":
        return "better"
    if verdict.parity == "yes":
        return f"parity within {margin}"
    if verdict.parity == "no":
        return f"no parity, it is more than {margin} below"
    more = verdict.more_seeds
    seeds = f"about {more} more seed{'' if more == 1 else 's'} would decide"
    return f"undecided whether within {margin}; {seeds if more else 'more seeds alone would not decide'}"


def _costs(plan: Plan, one: Comparison, results: Results) -> str:
    def share(name: str) -> float:
        ours, theirs = (
            float(np.mean([results[who.name, seed][0].metrics[name] for seed in plan.seeds]))
            for who in (one.pick, one.other)
        )
        return ours / theirs if theirs else float("nan")

    return (
        f"{share('train_flops'):.1%} of its marginal training compute ({share('end_to_end_flops'):.1%} end-to-end) and "
        f"{share('inference_macs'):.0%} of its inference MACs"
    )


def as_json(plan: Plan, results: Results) -> dict[str, Any]:
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
            }
            for one in comparisons(plan, results)
        ],
        "robust_accuracy": {
            one.name: {str(seed): float(results[one.name, seed][1].robust.mean()) for seed in plan.seeds}
            for one in plan.contenders
            if whole(plan, one, results)
        },
        "unreliable": list(unreliable(plan, results)),
        "sentences": sentences(plan, results),
    }


def unreliable(plan: Plan, results: Results) -> Sequence[str]:
    """Return a line for each trained network whose numbers cannot be trusted."""
    return [
        f"UNRELIABLE: {name}, seed {seed}: {'; '.join(record.unreliable)}"
        for (name, seed), (_, record) in results.items()
        if record.unreliable and seed in plan.seeds
    ]
