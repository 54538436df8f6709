import math
from pathlib import Path

import numpy as np
import pytest

from analysis.pareto.parity import at_parity, lower_bound, verdict
from analysis.run.trials import read_run
from tests.support.run_directories import add, start, worked_example
from trainables.storage import Folder


def test_the_bound_is_the_paired_formula() -> None:
    a = np.array([True] * 30 + [False] * 10 + [True] * 60)
    b = np.array([False] * 30 + [True] * 10 + [True] * 60)
    expected = 0.2 - 1.6448536269514722 * math.sqrt((0.4 - 0.2**2) / 100)
    assert lower_bound(a, b) == pytest.approx(expected)
    assert lower_bound(a, b, confidence=0.5) == pytest.approx(0.2)


def test_arrays_that_agree_have_no_spread() -> None:
    same = np.array([True, False, True])
    assert lower_bound(same, same) == 0.0


@pytest.mark.parametrize(("one", "other"), [(0, 0), (3, 2)])
def test_unpaired_arrays_are_refused(one: int, other: int) -> None:
    with pytest.raises(ValueError, match="same length"):
        lower_bound(np.ones(one, dtype=bool), np.ones(other, dtype=bool))


def test_parity_needs_the_bound_above_the_margin_on_the_same_examples(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", robust=0.5, correct=[True, False] * 50)
    add(tmp_path, "same", robust=0.5, correct=[True, False] * 50)
    add(tmp_path, "worse", robust=0.0, correct=[False] * 100)
    add(tmp_path, "short", robust=1.0, correct=[True] * 99)
    add(tmp_path, "unmeasured", robust=1.0)
    run = read_run(Folder(str(tmp_path)))
    level = {trial.id for trial in run.trials if run.reference and at_parity(trial, run.reference, 0.01)}
    assert level == {"pgd", "same"}
    assert not [
        trial for trial in run.trials if run.reference and at_parity(trial, run.reference, 0.0)
    ]  # 0 is not above


def test_the_verdict_names_the_cheapest_that_keeps_enough_and_its_rival(tmp_path: Path) -> None:
    said = verdict(worked_example(tmp_path))
    assert "reaches 0.780 robust accuracy, 98% of pgd_at_20's 0.800" in said
    assert "for 20% of its marginal compute (21% end-to-end)" in said
    assert said.endswith("the best baseline within that end-to-end compute, n_fgsm_at_5, reaches 0.500.")


def test_the_verdict_says_when_no_baseline_is_that_cheap(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10)
    add(tmp_path, "fast", role="baseline", name="fast", robust=0.3, flops=1e9)
    add(tmp_path, "a", robust=0.4, flops=1e8)
    assert verdict(read_run(Folder(str(tmp_path)))).endswith(
        "no baseline is that cheap end-to-end, and the cheapest, fast, reaches 0.300 for 10%."
    )


def test_the_verdict_is_about_the_region_that_the_study_asks_for_where_it_holds_a_proposal(tmp_path: Path) -> None:
    start(tmp_path, reference_point={"robust_accuracy": "0.97 of reference", "compute": "1 of reference"})
    add(tmp_path, "base", role="base", robust=0.1, flops=0.0)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10)
    add(tmp_path, "cheap", robust=0.77, flops=1e9)  # 96% of the reference's
    said = verdict(read_run(Folder(str(tmp_path))))
    assert "reaches 0.770" in said
    assert "It lies outside the region that the study asks for" in said
    add(tmp_path, "inside", robust=0.79, flops=2e9)
    said = verdict(read_run(Folder(str(tmp_path))))
    assert "reaches 0.790" in said
    assert "outside the region" not in said


def test_the_verdict_admits_a_baseline_that_is_no_worse(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10)
    add(tmp_path, "fast", role="baseline", name="fast", robust=0.79, flops=1e9, end_to_end=1e9)
    add(tmp_path, "a", robust=0.77, flops=9e8, end_to_end=1e9)
    assert "fast, reaches 0.790, which is no worse" in verdict(read_run(Folder(str(tmp_path))))


def test_the_verdict_says_what_is_missing(tmp_path: Path) -> None:
    start(tmp_path)
    assert "the reference did not finish" in verdict(read_run(Folder(str(tmp_path))))
    add(tmp_path, "pgd", role="baseline", robust=0.8, flops=1e8)
    assert "no proposal finished" in verdict(read_run(Folder(str(tmp_path))))
    add(tmp_path, "a", robust=0.5, flops=1e9)
    assert "No proposal is on the frontier" in verdict(read_run(Folder(str(tmp_path))))


def test_a_baseline_that_is_a_little_dearer_is_within_the_compute_and_a_recipe_at_the_share_keeps_enough(
    tmp_path: Path,
) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10)
    add(tmp_path, "near", role="baseline", name="near", robust=0.5, flops=1.04e9, end_to_end=1.04e9)
    add(tmp_path, "far", role="baseline", name="far", robust=0.6, flops=1.06e9, end_to_end=1.06e9)
    add(tmp_path, "enough", robust=0.95 * 0.8, flops=9e8, end_to_end=1e9)
    add(tmp_path, "more", robust=0.79, flops=2e9, end_to_end=2e9)
    said = verdict(read_run(Folder(str(tmp_path))))
    assert "reaches 0.760" in said
    assert said.endswith("the best baseline within that end-to-end compute, near, reaches 0.500.")
