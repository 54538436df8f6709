"""A hypervolume that grows point by point is that of all the points at once; what was spent is counted once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.pareto.growth import GrowingHypervolume, growth
from analysis.pareto.hypervolume import hypervolume, log_compute
from analysis.run.trials import Trial, read_run
from tests.support.run_directories import add, start, worked_example
from trainables.storage import Folder

POINT = np.array([0.3, 9.0])


@pytest.mark.parametrize("seed", range(5))
def test_points_one_after_another_come_to_what_they_are_together(seed: int) -> None:
    chance = np.random.default_rng(seed)
    robust, flops = chance.uniform(0.2, 0.9, 200), 10 ** chance.uniform(7, 9.5, 200)
    growing = GrowingHypervolume(POINT)
    for count in range(200):
        growing.add(robust[count], flops[count])
        points = np.stack([robust[: count + 1], [log_compute(one) for one in flops[: count + 1]]], axis=1)
        assert growing.area == pytest.approx(hypervolume(points, POINT), abs=1e-12)
    assert growing.area > 0


def test_points_outside_the_region_or_without_a_number_add_nothing() -> None:
    growing = GrowingHypervolume(POINT)
    for robust, flops in ((0.3, 1e7), (0.9, 1e9), (float("nan"), 1e7), (0.9, 0.0), (0.9, float("inf"))):
        growing.add(robust, flops)
    assert growing.area == 0
    growing.add(0.5, 1e8)
    assert growing.area == pytest.approx(0.2)


@pytest.mark.parametrize(("compute", "spent"), [("train_flops", [4e8, 2.4e9]), ("end_to_end_flops", [5e8, 2.5e9])])
def test_a_base_is_spent_once_and_a_teacher_by_no_proposal(compute: str, spent: list[float], tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    objectives = [{"metric": "robust_accuracy", "direction": "max"}, {"metric": compute, "direction": "min"}]
    taught = [replace(one, metrics=_taught(one)) if one.id == "b" else one for one in run.trials]
    run = replace(run, info=run.info | {"objectives": objectives}, trials=tuple(taught))
    assert growth(run, POINT).flops[:2] == pytest.approx(spent)


def test_what_ended_first_counts_first_whenever_it_was_proposed(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "slow", number=0, order=1, robust=0.5, flops=4e8)
    add(tmp_path, "quick", number=1, order=0, robust=0.4, flops=1e8)
    grown = growth(read_run(Folder(str(tmp_path))), POINT)
    assert grown.flops.tolist() == [1e8, 5e8]
    assert grown.hypervolume[0] == pytest.approx((0.4 - 0.3) * (9 - 8))


def _taught(trial: Trial) -> dict[str, float]:
    """The numbers of a trial that also learnt from a teacher of 1e12 FLOPs."""
    more = {name: trial.metrics[name] + 1e12 for name in ("train_flops", "end_to_end_flops")}
    return trial.metrics | more | {"flops_ancestors": 1e12}
