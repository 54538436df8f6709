"""The benchmark of many workers: searches spend what they may, and what is reached is read off their growth."""

import pytest

from tests.benchmarks import objectives, workers


def test_more_workers_need_less_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(workers.SHARES, "fashion_mnist", 0.05)
    one, four = (workers.run("fashion_mnist", "random", count, 0) for count in (1, 4))
    for growth in (one, four):
        shares, hours, regions = (list(column) for column in zip(*growth, strict=True))
        assert shares == sorted(shares)
        assert shares[-1] <= 1
        assert hours == sorted(hours)
        assert regions == sorted(regions)
        assert 0 < regions[-1] <= 1
    assert four[-1][1] < 0.6 * one[-1][1]


def test_what_is_not_reached_is_above_the_budget() -> None:
    growth = [[0.1, 2.0, 0.3], [0.2, 3.0, 0.8], [0.4, 5.0, 0.9]]
    assert workers.needed(growth, 0.8, 0) == 0.2
    assert workers.needed(growth, 0.85, 1) == 5.0
    assert workers.needed(growth, 0.95, 0) == float("inf")


def test_a_search_for_three_objectives_grows_in_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objectives, "SHARE", 0.05)
    growth = objectives.run("fashion_mnist", objectives.CUTS[0], "random", 0)
    areas = [area for _, area in growth]
    assert areas == sorted(areas)
    assert areas[-1] > 0
    assert objectives.needed(growth, areas[-1]) <= 1 or growth[-1][0] > 1
    assert objectives.needed(growth, 2 * areas[-1]) == float("inf")
