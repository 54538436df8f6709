"""What is derived from a run is the same by both ways of reading it, and is made again only where something changed."""

from pathlib import Path

import pytest

from analysis.report import report
from analysis.report.report import TABLES
from analysis.run.record_table import read_known, read_run_by
from analysis.run.trials import Run, read_run
from search.record import derived_files
from search.record.derived_files import derive
from tests.support.run_directories import add, worked_example
from trainables.storage import Folder

REPORT = ("report.html", "frontier.csv", "frontier.json")


def contents(root: Path, names: tuple[str, ...]) -> list[bytes]:
    return [(root / name).read_bytes() for name in names]


def by_the_table(root: Path) -> Run:
    """Derive a run's files as `temper report` does."""
    folder = Folder(str(root))
    known = read_known(folder)
    return derive(read_run_by(known, folder), known)


def test_the_report_is_the_same_by_both_ways_and_the_rest_is_made_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def study_database(run: Run) -> None:
        made.append("study.db")
        run.folder.write("study.db", b"made")

    def tensorboard(run: Run) -> None:
        made.append("tensorboard")
        run.folder.child("tensorboard", "search").write("events", b"made")

    monkeypatch.setattr(derived_files, "write_study_database", study_database)  # slow, and tested elsewhere
    monkeypatch.setattr(derived_files, "write_tensorboard", tensorboard)
    monkeypatch.setattr(report, "draw_frontier_png", lambda *_: b"drawn")
    worked_example(tmp_path)
    add(tmp_path, "e", number=7, robust=0.77, flops=1.5e9, scores=[0.5, 0.77])
    derive(read_run(Folder(str(tmp_path))))
    first, table = contents(tmp_path, REPORT), (tmp_path / "trials.parquet").stat()
    (tmp_path / "report.html").unlink()
    assert len(read_known(Folder(str(tmp_path))).trials) == 7
    by_the_table(tmp_path)
    assert contents(tmp_path, REPORT) == first
    assert (tmp_path / "trials.parquet").stat().st_mtime_ns == table.st_mtime_ns
    assert made == ["study.db", "tensorboard"]
    (tmp_path / "study.db").write_bytes(b"damaged")
    add(tmp_path, "d", number=6, robust=0.79, flops=1.8e9, scores=[0.5, 0.79])
    by_the_table(tmp_path)
    assert len(made) == 4
    assert (tmp_path / "study.db").read_bytes() == b"made"
    (tmp_path / "study.db").write_bytes(b"damaged")
    by_the_table(tmp_path)
    assert len(made) == 6
    grown = contents(tmp_path, (*REPORT, *TABLES))
    assert grown[0] != first[0]
    derive(read_run(Folder(str(tmp_path))))
    assert contents(tmp_path, (*REPORT, *TABLES)) == grown
