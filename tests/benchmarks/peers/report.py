"""Prints how Temper's sampler compares with every other optimizer, losses first."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.peers.optimizers.registry import OPTUNAS, OURS
from tests.benchmarks.peers.results import COMPUTE, COUNTED, LEVELS, TRIALS, Found, Results
from tests.benchmarks.peers.statistics import holm, lower_bound_of_mean, ratio_of_medians, signed_rank_p
from tests.benchmarks.peers.tables.table import Array, Table

ALPHA = 0.05
MARGIN = 0.05  # of the region, by which Temper's may lie below a peer's after `TRIALS` recipes
OPTUNA_TARGET, RANDOM_TARGET = 0.5, 0.2
# Quoted, not run here: CARBS is in no package registry. Median shares of the budget, measured by hand on the recordings
# that Temper 0.2 shipped: cost modelled, not told; begun at the cheapest recipe; moved to the nearest one not yet run.
CARBS: Mapping[str, str] = {
    "digits": "80% of the region at .275 (quartiles .179, .341; 8 seeds)",
    "fashion_mnist": "80% of the region at .113 (quartiles .103, .126; 8 seeds), 95% at .384",
}
Outcomes = Mapping[str, Mapping[int, Found]]  # by name of the optimizer, then by seed


@dataclass(frozen=True)
class Line:
    """One line of a comparison.

    Attributes:
        peer: the other optimizer.
        text: the line.
        worse: Holm-adjusted p-value of Temper's being worse.
        better: the same of its being better.
        order: by which lines of one verdict are sorted, the worst for Temper first.
    """

    peer: str
    text: str
    worse: float
    better: float
    order: float

    @property
    def verdict(self) -> str:
        """What the tests say, in a word."""
        return "LOSS" if self.worse < ALPHA else "win" if self.better < ALPHA else "undecided"


def report(table: Table, results: Results, peers: Sequence[str]) -> str:
    """Return the comparison on a table, as far as it was run, as text."""
    outcomes = {
        budget: {name: results.seeds(table.name, table.digest, name, budget) for name in (OURS, *peers)}
        for budget in (COMPUTE, COUNTED)
    }
    parts = [by_compute(table.name, outcomes[COMPUTE], place) for place in range(len(LEVELS))]
    parts += [by_trials(table.name, outcomes[COUNTED])]
    if table.name in CARBS:
        parts += [f"CARBS, quoted: {CARBS[table.name]}"]
    return "\n\n".join(parts)


def by_compute(name: str, outcomes: Outcomes, place: int) -> str:
    """Compare the shares of the budget at which a level of the region was reached."""
    level = LEVELS[place]
    paired = {peer: _paired(outcomes, peer, lambda one: _share(one, place)) for peer in _others(outcomes)}
    worse = holm({peer: signed_rank_p(ours, theirs) for peer, (ours, theirs) in paired.items()})
    better = holm({peer: signed_rank_p(theirs, ours) for peer, (ours, theirs) in paired.items()})
    lines, ratios = [], dict[str, float]()
    for peer, (ours, theirs) in paired.items():
        ratio = ratio_of_medians(ours, theirs)
        ratios[peer] = ratio.value
        bound = "≤" if ratio.is_bound and math.isfinite(ratio.value) else " "
        text = (
            f"{_median(ours)} {_median(theirs)}  {bound}{_number(ratio.value)} [{_number(ratio.low)}, "
            f"{_number(ratio.high)}]  {_reach(ours)}/{_reach(theirs)} of {len(ours)} reach it"
        )
        lines.append(Line(peer, text, worse[peer], better[peer], math.inf if math.isnan(ratio.value) else ratio.value))
    title = f"{name}: share of the budget to {level:.0%} of the region: ours, theirs, ratio of medians [95%]"
    return "\n".join([title, *_table(lines), *_targets(ratios)])


def by_trials(name: str, outcomes: Outcomes) -> str:
    """Compare the share of the region after the default number of trials."""
    paired = {peer: _paired(outcomes, peer, lambda one: one.after_trials) for peer in _others(outcomes)}
    worse = holm({peer: signed_rank_p(theirs, ours) for peer, (ours, theirs) in paired.items()})
    better = holm({peer: signed_rank_p(ours, theirs) for peer, (ours, theirs) in paired.items()})
    lines = []
    for peer, (ours, theirs) in paired.items():
        bound = lower_bound_of_mean(ours - theirs) if len(ours) > 1 else -math.inf
        shown = "shown" if bound > -MARGIN else "NOT SHOWN"
        text = (
            f"{ours.mean():.3f} {theirs.mean():.3f}  {(ours - theirs).mean():+.3f}, above {bound:+.3f} "
            f"(> {-MARGIN:g}: {shown}; {len(ours)} seeds)"
        )
        lines.append(Line(peer, text, worse[peer], better[peer], -bound))
    title = f"{name}: share of the region after {TRIALS} trials: ours, theirs, mean difference, its one-sided 95% bound"
    return "\n".join([title, *_table(lines)])


def _table(lines: Sequence[Line]) -> list[str]:
    rank = {"LOSS": 0, "undecided": 1, "win": 2}
    return [
        f"  {line.verdict:9s} {line.peer:15s} {line.text}  p worse {line.worse:.3f}, better {line.better:.3f}"
        for line in sorted(lines, key=lambda line: (rank[line.verdict], -line.order))
    ]


def _targets(ratios: Mapping[str, float]) -> list[str]:
    """What was aimed at, beside what is: the ratio to the best of Optuna's samplers, and to random."""
    texts = []
    optunas = [ratios[name] for name in OPTUNAS if name in ratios]
    if optunas:
        largest = max(math.inf if math.isnan(one) else one for one in optunas)
        those = f"{len(optunas)} of {len(OPTUNAS)} samplers of Optuna's that ran"
        texts.append(f"  aim: ≤ {OPTUNA_TARGET:g} of the best of the {those}: {_number(largest)}")
    if "random" in ratios:
        texts.append(f"  aim: ≤ {RANDOM_TARGET:g} of random: {_number(ratios['random'])}")
    return texts


def _others(outcomes: Outcomes) -> list[str]:
    """The optimizers that share a seed with Temper's."""
    return [name for name, runs in outcomes.items() if name != OURS and set(runs) & set(outcomes[OURS])]


def _paired(outcomes: Outcomes, peer: str, value: Callable[[Found], float]) -> tuple[Array, Array]:
    seeds = sorted(set(outcomes[OURS]) & set(outcomes[peer]))
    ours, theirs = (np.array([value(outcomes[name][seed]) for seed in seeds]) for name in (OURS, peer))
    return ours, theirs


def _share(found: Found, place: int) -> float:
    share = found.reached[place]
    return math.inf if share is None else share


def _median(values: Array) -> str:
    middle = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]].mean()
    return "more " if math.isinf(middle) else f"{middle:.3f}"


def _number(value: float) -> str:
    return "neither" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.2f}"


def _reach(values: Array) -> int:
    return int(np.isfinite(values).sum())
