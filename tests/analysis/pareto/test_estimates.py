"""Estimates of a search's model: proposals are on the frontier by them, and both numbers are shown everywhere."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.export.selection import pick
from analysis.pareto.frontier import estimate, frontier, metric
from analysis.pareto.growth import hypervolume_history
from analysis.pareto.parity import verdict
from analysis.report.frontier_chart import staircase
from analysis.report.report import write_report
from analysis.run.trials import ESTIMATES, Run, read_run
from analysis.tables.trials import finished
from tests.support.report_pages import page_rows
from tests.support.run_directories import worked_example
from trainables.storage import Folder

LUCKY = {"a": 0.6, "b": 0.45}  # "b" was measured at 0.78, and costs five times as much as "a"


def estimated(place: Path, values: Mapping[str, float]) -> Run:
    worked_example(place)
    content = {key: {"robust_accuracy": value, "robust_accuracy_stderr": 0.01} for key, value in values.items()}
    Folder(str(place)).write_json(ESTIMATES, content)
    return read_run(Folder(str(place)))


def test_proposals_are_on_the_frontier_by_their_estimates_and_baselines_as_measured(tmp_path: Path) -> None:
    measured = worked_example(tmp_path)
    assert [trial.id for trial in frontier(measured)] == ["a", "b", "pgd"]
    run = estimated(tmp_path, LUCKY)
    assert [trial.id for trial in frontier(run)] == ["a", "pgd"]
    a, pgd = frontier(run)
    assert (estimate(a, "robust_accuracy"), metric(a, "robust_accuracy"), estimate(a, "train_flops")) == (0.6, 0.6, 4e8)
    assert estimate(pgd, "robust_accuracy") == metric(pgd, "robust_accuracy") == 0.8


def test_the_hypervolume_is_of_what_was_measured(tmp_path: Path) -> None:
    plain, run = worked_example(tmp_path / "plain"), estimated(tmp_path / "estimated", LUCKY)
    assert list(hypervolume_history(run)) == list(hypervolume_history(plain))


@pytest.mark.parametrize("content", [{"a": 0.6}, {}, {"b": 0.4, "c": 0.3}])
def test_estimates_of_some_proposals_alone_are_of_an_earlier_search_and_count_as_none(
    tmp_path: Path, content: Mapping[str, float]
) -> None:
    run = estimated(tmp_path, content)
    assert not any(trial.estimate for trial in run.trials)
    assert [trial.id for trial in frontier(run)] == ["a", "b", "pgd"]


def test_a_torn_file_counts_as_none(tmp_path: Path) -> None:
    worked_example(tmp_path)
    for content in (b'{"a": ', b"[1]", b'{"a": 1, "b": 2}'):
        (tmp_path / ESTIMATES).write_bytes(content)
        assert not any(trial.estimate for trial in read_run(Folder(str(tmp_path))).trials)


def test_what_is_exported_and_the_line_of_the_chart_go_by_the_estimates(tmp_path: Path) -> None:
    plain, run = worked_example(tmp_path), estimated(tmp_path, {"a": 0.7, "b": 0.75})
    assert [trial.id for trial in pick(plain, "max-robust")] == ["b"]
    assert [trial.id for trial in pick(estimated(tmp_path, {"a": 0.7, "b": 0.6}), "max-robust")] == ["a"]
    line = staircase(finished(run), "train_flops")
    assert line.to_numpy().tolist() == [[4e8, 0.7], [2e9, 0.75], [1e10, 0.8]]
    assert staircase(finished(plain), "train_flops")["robust_accuracy"].tolist() == [0.6, 0.78, 0.8]


def test_both_numbers_are_shown(tmp_path: Path) -> None:
    run = estimated(tmp_path, {"a": 0.583, "b": 0.79})
    write_report(run)
    rows = {row["id"]: row for row in csv.DictReader((tmp_path / "frontier.csv").read_text().splitlines())}
    assert (rows["b"]["robust_accuracy"], rows["b"]["estimated_robust_accuracy"]) == ("0.78", "0.79")
    assert rows["b"]["estimated_robust_accuracy_stderr"] == "0.01"
    assert rows["pgd"]["estimated_robust_accuracy"] == ""
    page = (tmp_path / "report.html").read_text()
    shown = page_rows(page)
    assert (shown["a"]["robust_accuracy"], shown["a"]["estimated_robust_accuracy"]) == (0.6, 0.583)
    assert shown["a"]["estimated_robust_accuracy_stderr"] == 0.01
    assert shown["pgd"]["estimated_robust_accuracy"] is None, "baselines are not modelled"
    assert "Estimated: what the search's model makes of a proposal" in page
    assert "reaches 0.780 robust accuracy (0.790 ± 0.010 by the model of all scores), 98% of pgd_at_20's" in verdict(
        run
    )
    members = {one["id"]: one for one in Folder(str(tmp_path)).read_json("frontier.json")}
    assert members["a"]["estimate"] == {"robust_accuracy": 0.583, "robust_accuracy_stderr": 0.01}
    assert members["a"]["metrics"]["robust_accuracy"] == 0.6


def test_without_a_model_no_estimate_is_spoken_of(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    write_report(run)
    page = (tmp_path / "report.html").read_text()
    assert "Estimated: what the search's model makes" not in page
    assert "estimated_robust_accuracy" not in page_rows(page)["a"]
    assert "estimated" not in (tmp_path / "frontier.csv").read_text()
    assert "model of all" not in verdict(run)


def test_a_model_that_could_not_be_asked_is_told(tmp_path: Path) -> None:
    write_report(replace(worked_example(tmp_path), not_estimated="trials/b: <its> parameters make another recipe"))
    page = (tmp_path / "report.html").read_text()
    assert "as they were\nmeasured: trials/b: &lt;its&gt; parameters make another recipe" in page
