"""The report and the pictures: their tables, and what the page may not contain."""

import html
from pathlib import Path

import pandas as pd
import pytest

from analysis.report.frontier_chart import draw_frontier_png, frontier_figure, staircase
from analysis.report.report import write_report
from analysis.run.trials import read_run
from analysis.tables.trials import finished
from tests.support.run_directories import add, start, worked_example
from trainables.storage import Folder


def test_the_staircase_is_what_none_beats_in_the_plane_that_is_drawn() -> None:
    table = pd.DataFrame(
        [
            ("baseline", 100.0, 100.0, 0.8, True),
            ("proposed", 1.0, 60.0, 0.5, True),
            ("proposed", 2.0, 40.0, 0.6, True),
            ("proposed", 3.0, 70.0, 0.55, True),
            ("proposed", 0.1, 30.0, 0.1, False),  # no better than chance
            ("base", 0.5, 50.0, 0.9, True),
        ],
        columns=["role", "train_flops", "end_to_end_flops", "robust_accuracy", "eligible"],
    )
    assert staircase(table, "train_flops").to_numpy().tolist() == [[1.0, 0.5], [2.0, 0.6], [100.0, 0.8]]
    assert staircase(table, "end_to_end_flops").to_numpy().tolist() == [[40.0, 0.6], [100.0, 0.8]]


@pytest.mark.parametrize("trials", [False, True])
def test_a_run_is_reported_with_and_without_finished_trials(tmp_path: Path, trials: bool) -> None:
    start(tmp_path)
    run = worked_example(tmp_path) if trials else read_run(Folder(str(tmp_path)))
    write_report(run)
    page = (tmp_path / "report.html").read_text()
    assert ("pgd_at_20" in page) == trials
    assert "L∞ ε = 0.2" in page
    assert "L∞, 0.2 for pixels from 0 to 1" in page
    assert ("Found, not confirmed" in page) == trials
    assert ("name small, normalization True</dd>" in page) == trials
    table = finished(run)
    assert len(staircase(table, "train_flops")) == (3 if trials else 0)
    assert draw_frontier_png(table, run.info).startswith(b"\x89PNG")
    assert (len(frontier_figure(table, run.info).data) > 1) == trials


def test_a_radius_is_written_as_the_field_does_in_the_report(tmp_path: Path) -> None:
    start(tmp_path, threat_model={"norm": "l2", "epsilon": 128 / 255})
    write_report(read_run(Folder(str(tmp_path))))
    page = (tmp_path / "report.html").read_text()
    assert "L2 ε = 128/255" in page
    assert "L2, 128/255 for pixels from 0 to 1" in page


def test_the_report_says_what_was_found_in_the_network_and_nothing_for_older_runs(tmp_path: Path) -> None:
    found = "note: left as they are: lstm (the state of a recurrent layer keeps its width)"
    for name, info in (("older", {}), ("newer", {"network_findings": [found]}), ("nothing", {"network_findings": []})):
        start(tmp_path / name, **info)
        write_report(read_run(Folder(str(tmp_path / name))))
        page = (tmp_path / name / "report.html").read_text()
        assert (found in page) == ("<h2>Network</h2>" in page) == (name == "newer")


def test_texts_of_a_run_cannot_script_the_report(tmp_path: Path) -> None:
    texts = [f"<script>alert({number})</script>" for number in range(6)]
    study, name, command, baseline, reason, found = texts
    start(tmp_path, study=study, name=name, provenance={"command": command}, network_findings=[found])
    add(tmp_path, "pgd", role="baseline", name=baseline, robust=0.8)
    add(tmp_path, "lost", state="fail", reason=reason, number=1)
    write_report(read_run(Folder(str(tmp_path))))
    page = (tmp_path / "report.html").read_text()
    assert [text for text in texts if html.escape(text) in page] == texts  # each is there, and only as text
    assert [text for text in texts if text in page] == []
