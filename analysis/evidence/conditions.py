"""Sums up how confirmed networks do under conditions that they were not trained for: means over seeds, and drops."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from analysis.evidence.confirmation import Confirmation
from trainables.conditions.record import Conditions
from trainables.evaluation.config import threat_words

CLEAN, CORRUPTED = "clean", "corrupted (mean)"
BRIEF = (0.5, 1.0, 2.0, 4.0)  # multiples of epsilon in the short table


@dataclass(frozen=True)
class Condition:
    """One condition.

    Attributes:
        name: what it is called.
        accuracies: by entry, accuracy (0–1), the mean over its seeds.
        brief: whether it is in the short table.
    """

    name: str
    accuracies: Mapping[str, float]
    brief: bool = True


def conditions_of(confirmation: Confirmation) -> list[Condition]:
    """Return the conditions that were measured, beginning with none; empty where nothing was measured."""
    found = {
        entry.name: [
            confirmation.conditions[entry.name, seed]
            for seed in confirmation.seeds
            if (entry.name, seed) in confirmation.conditions
        ]
        for entry in confirmation.entries
    }
    found = {name: some for name, some in found.items() if some}
    if not found:
        return []

    def condition(name: str, number: Callable[[Conditions], float | None], *, brief: bool = True) -> Condition:
        means = {}
        for entry, some in found.items():
            known = [one for one in map(number, some) if one is not None]
            if known:
                means[entry] = float(np.mean(known))
        return Condition(name, means, brief)

    first, epsilon = next(iter(found.values()))[0], confirmation.setting.threat_model.epsilon
    return [
        condition(CLEAN, lambda one: one.clean),
        *(
            condition(f"ε {multiple * epsilon:.3g} (×{multiple:g})", partial(_at, multiple), brief=multiple in BRIEF)
            for multiple in first.by_epsilon
        ),
        condition(threat_words(first.other), lambda one: one.other_norm),
        *(condition(name, partial(_corrupted, name), brief=False) for name in first.corruptions),
        condition(CORRUPTED, lambda one: one.corrupted),
        *(condition(f"from {name}", partial(_from, name)) for name in dict.fromkeys(_transfers(found))),
        *(
            condition(f"{name}, {words}" if words else name, partial(_elsewhere, name, place))
            for name in dict.fromkeys(name for some in found.values() for one in some for name in one.other_data)
            for place, words in enumerate(("", f"ε {epsilon:.3g}"))
        ),
    ]


def _at(multiple: float, one: Conditions) -> float | None:
    return one.by_epsilon.get(multiple)


def _corrupted(name: str, one: Conditions) -> float | None:
    return float(np.mean(one.corruptions[name])) if name in one.corruptions else None


def _from(name: str, one: Conditions) -> float | None:
    return one.transfers.get(name)


def _elsewhere(name: str, place: int, one: Conditions) -> float | None:
    return one.other_data[name][place] if name in one.other_data else None


def _transfers(found: Mapping[str, list[Conditions]]) -> list[str]:
    return [name for some in found.values() for one in some for name in one.transfers]


def conditions_table(confirmation: Confirmation) -> list[str]:
    """Return the short table: a line for each entry, with accuracies, and in brackets what is lost of the clean one."""
    found = [one for one in conditions_of(confirmation) if one.brief]
    if not found:
        return []
    widest = max(len(entry.name) for entry in confirmation.entries)
    columns = [max(len(one.name), 11) for one in found]
    lines = [f"{'':{widest}}  " + "  ".join(f"{one.name:>{width}}" for one, width in zip(found, columns, strict=True))]
    for entry in confirmation.entries:
        if entry.name not in found[0].accuracies:
            continue
        cells = [f"{cell(one, found[0], entry.name):>{width}}" for one, width in zip(found, columns, strict=True)]
        lines.append(f"{entry.name:{widest}}  " + "  ".join(cells))
    return lines


def cell(one: Condition, clean: Condition, entry: str) -> str:
    """Return an entry's accuracy under a condition, with what it lost of the clean accuracy; empty where not known."""
    if entry not in one.accuracies:
        return ""
    accuracy = one.accuracies[entry]
    if one.name == CLEAN:
        return f"{accuracy:.3f}"
    return f"{accuracy:.3f} ({accuracy - clean.accuracies[entry]:+.2f})".replace("-", "−")
