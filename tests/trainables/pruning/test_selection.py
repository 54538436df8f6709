"""Which units go for a ratio, and how many stay, against ranks by hand."""

import pytest
import torch
from torch import Tensor

from trainables.channels.groups import Group
from trainables.pruning.selection import chosen, ranks, totals


def group(units: int, parts: int = 1) -> Group:
    return Group(("root",), units, parts, (), "")


def lost(values: dict[str, list[float]], ratio: float, *, together: bool, parts: int = 1) -> dict[str, list[int]]:
    groups = {name: group(len(numbers), parts) for name, numbers in values.items()}
    ranked = ranks(groups, {name: torch.tensor(numbers) for name, numbers in values.items()})
    found: dict[str, Tensor] = chosen(groups, ranked, totals(ranked, together=together), ratio, together=together)
    return {name: sorted(units.tolist()) for name, units in found.items()}


VALUES = {"a": [4.0, 1.0, 3.0, 2.0], "b": [0.5, 9.0, 0.25, 8.0]}


def test_ranks_across_the_network_or_inside_each_group() -> None:
    assert lost(VALUES, 0.5, together=True) == {"a": [1, 3], "b": [0, 2]}
    assert lost(VALUES, 0.25, together=True) == {"b": [0, 2]}
    assert lost(VALUES, 0.25, together=False) == {"a": [1], "b": [2]}
    assert lost(VALUES, 0.1, together=True) == {"b": [2]}  # the number that stays is rounded down


def test_no_group_loses_all_its_units_however_little_they_are_worth() -> None:
    small = {"cheap": [0.1, 0.2, 0.3], "dear": [float(value) for value in range(5, 42)]}
    assert lost(small, 3 / 40, together=True) == {"cheap": [0, 1], "dear": [0]}
    wide = {"cheap": [index / 1000 for index in range(100)], "dear": [5.0 + index for index in range(100)]}
    assert lost(wide, 0.5, together=True) == {"cheap": list(range(95)), "dear": list(range(5))}
    assert lost({"one": [1.0, 2.0]}, 0.95, together=True) == {"one": [0]}


def test_equal_parts_lose_the_same_units_by_their_mean() -> None:
    values = {"grouped": [9.0, 1.0, 2.0, 1.0, 9.0, 3.0]}  # two parts: means 5, 5, 2.5
    assert lost(values, 1 / 3, together=False, parts=2) == {"grouped": [2, 5]}


@pytest.mark.parametrize("together", [True, False])
def test_a_ratio_of_nothing_removes_nothing(together: bool) -> None:
    assert lost(VALUES, 0.0, together=together) == {}
