from pathlib import Path

import numpy as np
import pytest

from analysis.pareto.dominance import non_dominated, to_costs
from analysis.pareto.frontier import frontier
from analysis.pareto.growth import hypervolume_history
from analysis.pareto.hypervolume import hypervolume, log_compute
from analysis.run.trials import read_run
from analysis.tables.trials import finished
from tests.support.run_directories import add, start, worked_example
from trainables.storage import Folder


def test_a_point_is_kept_unless_another_is_nowhere_worse_and_somewhere_better() -> None:
    costs = np.array([[1.0, 3.0], [2.0, 2.0], [2.0, 3.0], [3.0, 1.0], [4.0, 4.0]])
    assert non_dominated(costs).tolist() == [True, True, False, True, False]


def test_all_copies_of_a_point_are_kept() -> None:
    assert non_dominated(np.array([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0]])).tolist() == [True, True, False]


def test_what_is_not_finite_is_never_in_and_dominates_nothing() -> None:
    costs = np.array([[-np.inf, 0.0], [np.nan, 0.0], [5.0, 5.0], [np.inf, 1.0]])
    assert non_dominated(costs).tolist() == [False, False, True, False]


def test_no_points_give_an_empty_mask() -> None:
    assert non_dominated(np.empty((0, 2))).shape == (0,)


def test_the_mask_agrees_with_the_definition_on_random_points() -> None:
    costs = np.random.default_rng(0).integers(0, 6, (60, 3)).astype(float)
    expected = [not any((p <= q).all() and (p < q).any() for p in costs) for q in costs]
    assert non_dominated(costs).tolist() == expected


def test_maximised_objectives_change_sign() -> None:
    assert to_costs(np.array([[0.5, 2.0]]), ["max", "min"]).tolist() == [[-0.5, 2.0]]


@pytest.mark.parametrize(
    ("points", "area"),
    [
        ([], 0.0),
        ([[0.5, 8.0]], 0.3 * 2),
        ([[0.5, 8.0], [0.5, 8.0]], 0.3 * 2),
        ([[0.5, 8.0], [0.7, 9.0]], 0.3 * 2 + 0.2 * 1),
        ([[0.7, 9.0], [0.4, 9.5], [0.5, 8.0]], 0.3 * 2 + 0.2 * 1),
        ([[0.2, 8.0], [0.9, 10.0], [0.1, 5.0], [0.9, 11.0], [0.9, np.nan]], 0.0),
    ],
)
def test_hypervolume_is_the_area_of_the_boxes(points: list[list[float]], area: float) -> None:
    found = hypervolume(np.array(points).reshape(len(points), 2), np.array([0.2, 10.0]))
    assert found == pytest.approx(area, abs=1e-12)


def test_the_frontier_holds_finished_candidates_cheapest_first(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert [trial.id for trial in frontier(run)] == ["a", "b", "pgd"]


def test_bases_confirmations_and_unmeasured_trials_stay_off_the_frontier(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "base", role="base", robust=0.99, flops=0.0)
    add(tmp_path, "again", role="confirm", robust=0.99, flops=1.0)
    add(tmp_path, "unmeasured", robust=None, flops=1.0)
    add(tmp_path, "plain", robust=0.1, flops=1e12)
    assert [trial.id for trial in frontier(read_run(Folder(str(tmp_path))))] == ["plain"]


def test_finished_trials_carry_their_ratios_to_the_reference(tmp_path: Path) -> None:
    table = finished(worked_example(tmp_path)).set_index("id")
    assert list(table.index) == ["base", "pgd", "fast", "a", "b"]
    assert table.loc["a", "marginal_ratio"] == pytest.approx(0.04)
    assert table.loc["a", "end_to_end_ratio"] == pytest.approx(0.05)
    assert table.loc["a", "robust_ratio"] == pytest.approx(0.75)
    assert table["on_frontier"].tolist() == [False, True, False, True, True]


def test_an_empty_run_has_an_empty_table(tmp_path: Path) -> None:
    start(tmp_path)
    run = read_run(Folder(str(tmp_path)))
    assert len(finished(run)) == 0
    assert frontier(run) == []
    assert len(hypervolume_history(run)) == 0


def test_hypervolume_is_of_proposals_and_grows_in_the_order_of_finishing(tmp_path: Path) -> None:
    history = hypervolume_history(worked_example(tmp_path))
    edge = np.log10(1.1e10)  # reference point: the base's 0.2, 1.1 times the reference's compute
    first = (0.6 - 0.2) * (edge - np.log10(4e8))
    second = first + (0.78 - 0.6) * (edge - np.log10(2e9))
    assert history["trial"].tolist() == ["a", "b"]
    assert history["order"].tolist() == [3, 4]
    assert history["hypervolume"].tolist() == pytest.approx([first, second])
    assert history["frontier_size"].tolist() == [2, 3]  # baselines are on the frontier as well


def test_what_breaks_a_constraint_adds_no_hypervolume(tmp_path: Path) -> None:
    worked_example(tmp_path)
    limit = {"metric": "train_flops", "at_least": False, "bound": 1e9, "of_dense": False}
    start(tmp_path, constraints=[limit])
    history = hypervolume_history(read_run(Folder(str(tmp_path))))
    assert history["trial"].tolist() == ["a", "b"]
    assert history["hypervolume"].tolist() == pytest.approx([0.4 * (np.log10(1.1e10) - np.log10(4e8))] * 2)


def test_no_compute_has_no_logarithm() -> None:
    assert np.isnan(log_compute(0.0))


def test_without_a_finished_base_there_is_no_curve(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", robust=0.8)
    add(tmp_path, "base", role="base", state="fail")
    history = hypervolume_history(read_run(Folder(str(tmp_path))))
    assert list(history.columns) == ["order", "trial", "hypervolume", "frontier_size"]
    assert len(history) == 0
