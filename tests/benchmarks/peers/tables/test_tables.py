"""Tables: their parameters, which recipe is nearest, what outside tables are made of, and what costs are told."""

import numpy as np
import pytest

from tests.benchmarks.peers.tables.costs import ObservedCosts, costs_of
from tests.benchmarks.peers.tables.outside import chosen, table_of
from tests.benchmarks.peers.tables.recordings import recorded_table, recording_of
from tests.benchmarks.peers.tables.table import parameters_of
from tests.benchmarks.peers.tables.toy import cost, rows, toy_table


def test_parameters_are_found_with_their_order_and_what_they_depend_on() -> None:
    found = {one.name: one for one in parameters_of([{**row, "constant": 1} for row in rows()])}
    assert list(found) == ["length", "rate", "attack", "steps"]
    assert found["length"].choices == (1, 2, 4, 8)
    assert [one.ordered for one in found.values()] == [True, True, False, True]
    assert (found["steps"].parents, found["steps"].values) == (("attack",), frozenset({("pgd",)}))
    assert found["steps"].is_active({"attack": "pgd"})
    assert not found["steps"].is_active({"attack": "fgsm"})


def test_a_parameter_that_depends_on_two_others_or_on_one_that_depends() -> None:
    both = parameters_of([{"c": 2, "a": 1, "b": 1}, {"a": 0, "b": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 1}])
    assert [(one.name, one.parents, set(one.values)) for one in both][2] == ("c", ("a", "b"), {(1, 1)})
    chain = parameters_of([{"a": 0}, {"a": 1, "b": 0}, {"a": 1, "b": 1, "c": 2}, {"a": 1, "b": 1, "c": 3}])
    assert [(one.name, one.parents) for one in chain] == [("a", ()), ("b", ("a",)), ("c", ("b",))]
    assert not chain[2].is_active({"a": 0})


def test_a_parameter_that_follows_from_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^b: no 3 parameters"):
        parameters_of([{"a": 0}, {"a": 1}, {"a": 0, "b": 1}])


def test_what_does_not_apply_since_its_own_parent_does_not_counts_nothing() -> None:
    params = [{"a": 0, "d": 0}, {"a": 0, "d": 1}, *({"a": 1, "b": b, "c": c, "d": 0} for b in (0, 1) for c in (2, 3))]
    params = [{key: value for key, value in row.items() if key != "c" or row.get("b") == 1} for row in params]
    rows_of = table_of("family:set", params, np.column_stack([np.arange(6.0), np.ones(6)]))
    suggested, rng = {"a": 0, "b": 1, "c": 3, "d": 1}, np.random.default_rng(0)
    assert rows_of.nearest(suggested, [], rng) == 1
    assert {rows_of.nearest(suggested, [0, 1], rng) for _ in range(40)} == {2, 3, 4, 5}


def test_the_nearest_recipe_that_has_not_run() -> None:
    table, rng = toy_table(), np.random.default_rng(0)
    params = [one.params for one in table.entries]
    wanted = params.index({"length": 4, "rate": 0.03, "attack": "fgsm"})
    assert table.nearest(params[wanted], [], rng) == wanted
    # One rank of the rate is a quarter of its range, one of the length a third: both rates beside it are nearest.
    beside = {params.index({"length": 4, "rate": rate, "attack": "fgsm"}) for rate in (0.01, 0.1)}
    assert {table.nearest(params[wanted], [wanted], rng) for _ in range(30)} == beside
    assert table.nearest(params[wanted], range(len(params)), rng) is None


def test_what_does_not_apply_counts_nothing() -> None:
    table, rng = toy_table(), np.random.default_rng(0)
    params = [one.params for one in table.entries]
    suggested = {"length": 8, "rate": 0.9, "attack": "fgsm", "steps": 10}
    assert table.nearest(suggested, [], rng) == params.index({"length": 8, "rate": 0.9, "attack": "fgsm"})
    # Another attack is as far as a parameter's whole range, so a rate that pgd has not moves the rate instead.
    moved = table.nearest({"length": 8, "rate": 0.3, "attack": "pgd", "steps": 10}, [], rng)
    assert moved == params.index({"length": 8, "rate": 0.1, "attack": "pgd", "steps": 10})


def test_features_are_places_and_indicators() -> None:
    table = toy_table()
    by_params = dict(zip([str(dict(one.params)) for one in table.entries], table.features.tolist(), strict=True))
    assert by_params[str({"length": 8, "rate": 0.03, "attack": "fgsm"})] == [1.0, 0.25, 1.0, 0.0, 0.5]
    assert by_params[str({"length": 2, "rate": 0.01, "attack": "pgd", "steps": 5})] == [1 / 3, 0.0, 0.0, 1.0, 0.5]


def test_a_recordings_table_has_its_recipes_its_point_and_a_quarter_of_its_compute() -> None:
    table, recording = recorded_table("digits"), recording_of("digits")
    proposals = [curve for key, curve in recording.curves.items() if key.startswith("{")]
    assert len(table.entries) == len(proposals) >= 100
    assert table.budget == pytest.approx(sum(curve.rows[-1]["train_flops"] for curve in proposals) / 4)
    reference, base = (recording.curves[name].metrics for name in (recording.study.reference, "base"))
    least = max(0.8 * reference["robust_accuracy"], base["robust_accuracy"])
    assert table.point == pytest.approx((least, np.log10(1.1 * reference["train_flops"])))
    assert table.planned is not None
    finished = [number for number, one in enumerate(table.entries) if one.score is not None]
    assert len(finished) > 0.9 * len(table.entries)
    for number in finished[:20]:
        entry = table.entries[number]
        assert entry.shares[-1] == 1.0
        assert entry.cost == pytest.approx(table.planned[number], rel=0.01)


def test_the_outside_tables_are_one_of_each_family_in_turn() -> None:
    assert chosen() == (
        "HPOBench:australian",
        "HPOLib:naval_propulsion",
        "NASBench201:cifar10",
        "HPOBench:blood_transfusion",
        "HPOLib:parkinsons_telemonitoring",
    )
    assert len(set(chosen(99))) == 15


def test_an_outside_table_by_its_rules() -> None:
    params = [{"width": width} for width in range(11)]
    raw = np.column_stack([np.arange(11.0) + 5, np.arange(1.0, 12.0)])
    raw[3, 0] = np.nan
    table = table_of("family:set", params, raw)
    scores = [one.score for one in table.entries]
    assert (scores[0], scores[3], scores[10]) == (0.0, None, 1.0)
    assert table.point == pytest.approx((0.82, np.log10(1.1 * 11)))  # of ten scores 0, .1, .2, .4, …, 1
    assert table.budget == pytest.approx(100 * 6)
    assert table.planned is None
    assert table.name == "family_set"


def test_costs_are_told_only_where_they_are_known() -> None:
    told, modelled = costs_of(toy_table()), costs_of(toy_table(told=False))
    assert told.decades() == pytest.approx(np.log10([cost(one) for one in rows()]))
    assert np.ptp(modelled.decades()) == 0
    modelled.observe(0, 2.0)
    assert modelled.decades() == pytest.approx(np.full(len(rows()), 2.0))


def test_observed_costs_learn_what_multiplies_them() -> None:
    places = np.linspace(0, 1, 5)[:, None]
    costs = ObservedCosts(places)
    for entry in (0, 4, 0, 4, 0, 4, 0, 4):
        costs.observe(entry, 1.0 + 2.0 * float(places[entry, 0]))
    assert costs.decades() == pytest.approx(1.0 + 2.0 * places[:, 0], abs=0.06)
