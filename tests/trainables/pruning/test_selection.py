"""Which units go for a ratio, and how many stay, against ranks by hand."""

import pytest
import torch
from torch import Tensor

from trainables.channels.groups import Group, Member
from trainables.channels.operators import Port
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


def test_of_equal_values_no_more_go_than_are_asked_for() -> None:
    assert lost({"a": [1.0] * 16, "b": [1.0] * 16}, 0.25, together=True) == {"a": list(range(8))}
    assert lost({"worthless": [0.0] * 10, "dear": [1.0] * 10}, 0.25, together=True) == {"worthless": list(range(5))}


def test_equal_parts_lose_the_same_units_by_their_mean() -> None:
    values = {"grouped": [9.0, 1.0, 2.0, 1.0, 9.0, 3.0]}  # two parts: means 5, 5, 2.5
    assert lost(values, 1 / 3, together=False, parts=2) == {"grouped": [2, 5]}


@pytest.mark.parametrize("together", [True, False])
def test_a_ratio_of_nothing_removes_nothing(together: bool) -> None:
    assert lost(VALUES, 0.0, together=together) == {}


def of_several_layers(places: dict[str, list[int]], units: int, parts: int = 1) -> Group:
    """A group whose units are divided among layers, as the outputs of concatenated layers are."""
    members = tuple(
        Member(Port((name,), len(own)), torch.arange(len(own)), torch.tensor(own), makes=True)
        for name, own in places.items()
    )
    return Group(("root",), units, parts, members, "")


@pytest.mark.parametrize("together", [True, False])
def test_a_layer_among_several_that_are_concatenated_keeps_its_most_valuable_channel(together: bool) -> None:
    groups = {"all": of_several_layers({"one": [0, 1, 2], "other": [3, 4, 5], "both": [0, 1, 2, 3, 4, 5]}, 6)}
    ranked = {"all": torch.tensor([0.1, 0.3, 0.2, 7.0, 9.0, 8.0])}

    def kept(ratio: float) -> list[int]:
        first = totals(ranked, together=together)
        lost = chosen(groups, ranked, first, ratio, together=together)["all"].tolist()
        return sorted(set(range(6)) - set(lost))

    assert kept(1 / 3) == [1, 3, 4, 5]  # nothing is empty, and nothing is as it would not be otherwise
    assert kept(0.5) == [1, 3, 4, 5]
    assert kept(0.8) == [1, 4]


def test_equal_parts_get_the_same_channel_back() -> None:
    groups = {"grouped": of_several_layers({"one": [0, 3], "other": [1, 2, 4, 5]}, 6, parts=2)}
    ranked = {"grouped": torch.tensor([0.1, 5.0, 6.0])}
    lost = chosen(groups, ranked, totals(ranked, together=True), 1 / 3, together=True)
    assert lost == {}
    lost = chosen(groups, ranked, totals(ranked, together=True), 2 / 3, together=True)
    assert lost["grouped"].tolist() == [1, 4]


def test_channels_of_a_layer_in_another_group_count() -> None:
    port = Port(("reads both",), 2)
    groups = {
        name: Group((name,), 2, 1, (Member(port, torch.tensor([channel]), torch.tensor([0]), makes=False),), "")
        for channel, name in enumerate(("one", "other"))
    }
    ranked = {"one": torch.tensor([0.1, 0.2]), "other": torch.tensor([0.4, 0.3])}
    lost = chosen(groups, ranked, totals(ranked, together=False), 0.5, together=False)
    assert {name: units.tolist() for name, units in lost.items()} == {"one": [0], "other": [1]}
    ranked["other"] = torch.tensor([0.3, 0.4])
    lost = chosen(groups, ranked, totals(ranked, together=False), 0.5, together=False)
    assert {name: units.tolist() for name, units in lost.items()} == {"one": [0]}
