"""What is said where a run's recipes cannot be held against its reference, and who is kept off the frontier."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from analysis.pareto.frontier import frontier
from analysis.pareto.growth import hypervolume_history
from analysis.pareto.parity import verdict
from analysis.report.page import render
from analysis.run.trials import Run, read_run
from analysis.tables.trials import finished
from tests.support.report_pages import page_rows
from tests.support.run_directories import add, start
from trainables.storage import Folder

LEVEL = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.03, "answers_one_class": 0}  # the limit is 0.16
CONSTANT = {**LEVEL, "answers_one_class": 1, "clean_accuracy": 0.13}
BOUNDS: list[dict[str, Any]] = [
    {"metric": "clean_accuracy", "at_least": True, "bound": 0.95, "of_dense": False, "text": "clean_accuracy >= 0.95"},
    {
        "metric": "inference_macs",
        "at_least": False,
        "bound": 0.3,
        "of_dense": True,
        "text": "inference_macs <= 0.3 of dense",
    },
]


def run_of(
    root: Path,
    reference: Mapping[str, float],
    *proposals: Mapping[str, float],
    constraints: list[dict[str, Any]] | None = None,
) -> Run:
    """A base, the reference pgd_at_20 and proposals p0, p1, … with these final numbers; robust accuracy 0.8 unless."""
    start(root, constraints=constraints or [])
    add(root, "base", role="base", robust=0.0, flops=0.0, end_to_end=1e8, metrics=LEVEL)
    add(root, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10, metrics={**LEVEL, **reference})
    for number, metrics in enumerate(proposals):
        add(root, f"p{number}", number=2 + number, robust=0.7, flops=1e9, metrics={**LEVEL, **metrics})
    return read_run(Folder(str(root)))


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ({"clean_accuracy": 0.16}, "has learnt nothing: its clean accuracy of 0.160 is not 2 standard errors above"),
        (CONSTANT, "the reference, pgd_at_20, has learnt nothing: it answers one class for every image"),
        ({"robust_accuracy": 0.0}, "the robust accuracy of the reference, pgd_at_20, is 0: the attack succeeds on"),
        ({"robust_accuracy": 0.15}, "pgd_at_20, is no better than chance under attack: its robust accuracy of 0.150"),
    ],
)
def test_a_reference_of_no_use_refuses_the_verdict(reference: Mapping[str, float], said: str, tmp_path: Path) -> None:
    assert "reaches 0.700 robust accuracy, 87% of pgd_at_20's" in verdict(run_of(tmp_path, {}, {}))
    words = verdict(run_of(tmp_path, reference, {}))
    assert words.startswith("No verdict: the ")
    assert said in words


def test_a_reference_that_failed_says_how(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", state="fail", reason="ValueError: no")
    assert verdict(read_run(Folder(str(tmp_path)))) == (
        "No verdict: the reference did not finish (fail: ValueError: no), so there is nothing to compare with."
    )


def test_networks_at_chance_are_on_no_frontier(tmp_path: Path) -> None:
    worse = [CONSTANT, {"clean_accuracy": 0.15}, {"robust_accuracy": 0.16}]
    run = run_of(tmp_path, {}, *worse, {"robust_accuracy": 0.5, "train_flops": 2e9})
    assert [trial.id for trial in frontier(run)] == ["p3", "pgd"]
    table = finished(run)
    assert table.loc[table["on_frontier"], "id"].tolist() == ["pgd", "p3"]
    grown = hypervolume_history(run)
    assert (grown["hypervolume"] > 0).tolist() == [False, False, False, True]


def test_proposals_that_are_all_at_chance_are_said(tmp_path: Path) -> None:
    assert verdict(run_of(tmp_path, {}, CONSTANT, {"robust_accuracy": 0.1})) == (
        "No verdict: no proposal is better than chance (the one of the best score: it answers one class for "
        "every image)."
    )


def test_constraints_that_nobody_meets_are_named_with_what_is_missing(tmp_path: Path) -> None:
    run = run_of(
        tmp_path, {}, {"inference_macs": 4e5}, {"inference_macs": 2e5, "clean_accuracy": 0.94}, constraints=BOUNDS
    )
    assert verdict(run) == (
        "No verdict: no proposal meets the constraints: 2 of 2 broke clean_accuracy >= 0.95, the nearest with 0.94, "
        "0.01 too low; 1 of 2 broke inference_macs <= 0.3 of dense, with 4e+05, 1e+05 too high."
    )


def test_a_report_with_an_empty_frontier_says_so(tmp_path: Path) -> None:
    for name, numbers, empty in (("chance", CONSTANT, True), ("learnt", {}, False)):
        run = run_of(tmp_path / name, CONSTANT, numbers)
        assert ("No recipe is on the frontier, as the verdict says." in render(run, finished(run), None)) == empty


def test_an_unmeasured_number_is_said_to_be_so(tmp_path: Path) -> None:
    energy = {"metric": "energy_joules", "at_least": False, "bound": 5, "of_dense": False, "text": "energy_joules <= 5"}
    assert verdict(run_of(tmp_path, {}, {}, constraints=[energy])) == (
        "No verdict: no proposal meets the constraints: the one that finished broke energy_joules <= 5, "
        "which was not measured."
    )


def test_a_useless_reference_and_constraints_that_nobody_meets_are_both_said(tmp_path: Path) -> None:
    words = verdict(run_of(tmp_path, CONSTANT, {"clean_accuracy": 0.5}, constraints=BOUNDS[:1]))
    assert words.startswith("No verdict: the reference, pgd_at_20, has learnt nothing: it answers one class")
    assert words.endswith(
        "; besides, no proposal meets the constraints: the one that finished broke clean_accuracy >= 0.95, "
        "with 0.5, 0.45 too low."
    )


def test_all_that_failed_are_counted_by_reason(tmp_path: Path) -> None:
    run_of(tmp_path, {})
    assert verdict(read_run(Folder(str(tmp_path)))).endswith("hold against the baselines.")
    for number, reason in enumerate(["A: 1"] * 3 + ["B: 2"] * 2 + ["C: 3", "D: 4"]):
        add(tmp_path, f"f{number}", number=number, state="fail", reason=reason)
    assert verdict(read_run(Folder(str(tmp_path)))).endswith(
        "; 7 ended: 3 × fail: A: 1; 2 × fail: B: 2; 1 × fail: C: 3; 1 for other reasons."
    )


def test_a_reference_and_proposals_that_all_failed_are_both_said(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", state="fail", reason="ValueError: no")
    add(tmp_path, "p0", number=2, state="pruned", reason="diverged: the loss of epoch 1 is not finite")
    assert verdict(read_run(Folder(str(tmp_path)))) == (
        "No verdict: the reference did not finish (fail: ValueError: no), so there is nothing to compare with; "
        "besides, no proposal finished, so there is nothing to hold against the baselines; 1 ended: 1 × pruned: "
        "diverged: the loss of epoch 1 is not finite."
    )


def test_the_report_marks_who_learnt_nothing_and_blind_attacks(tmp_path: Path) -> None:
    run = run_of(tmp_path, {}, CONSTANT, {"zero_gradient_share": 0.5})
    states = " ".join(row["state"] for row in page_rows(render(run, finished(run), None)).values())
    assert "complete: has learnt nothing: it answers one class for every image" in states
    assert "complete: 50.0% of the attack's gradients are zero" in states
