"""The table of ended trials gives what their folders hold, and is passed over where it is older than they are."""

import json
import os
from dataclasses import fields
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from analysis.run.record_table import TABLE, read_known, read_run_by, write_known
from analysis.run.trials import Curve, Run, read_run
from tests.support.run_directories import add, start
from trainables.storage import Folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """One of each kind of trial, and the table of those that have ended."""
    start(tmp_path)
    add(tmp_path, "base", role="base", number=0, robust=0.2, correct=[True] * 5 + [False] * 6)
    add(tmp_path, "a", number=1, robust=0.6, scores=[0.4, None, 0.6], params={"epochs": 3, "kind": None, "rate": 0.1})
    add(tmp_path, "b", number=2, state="pruned", reason="dominated at rung 2", scores=[0.1], correct=[True] * 16)
    add(tmp_path, "c", number=3, state=None, scores=[0.3])
    add(tmp_path, "again", role="confirm", number=4, robust=0.5)
    file = tmp_path / "trials" / "a" / "recipe.json"
    record = json.loads(file.read_text())
    record["recipe"] |= {"of_another_version": None}  # a key that the others do not have
    file.write_text(json.dumps(record))
    found = read_run(Folder(str(tmp_path)))
    write_known(found)
    return found


def plain(run: Run) -> list[dict[str, object]]:
    """All that is known of a run's trials, as data that can be compared."""
    there = [{one.name: getattr(trial, one.name) for one in fields(trial)} for trial in run.everything]
    for one in there:
        one["history"] = tuple(one["history"])
        one["robust_correct"] = None if one["robust_correct"] is None else one["robust_correct"].tolist()
    return there


def test_by_the_table_a_run_is_as_it_is_by_its_folders(run: Run) -> None:
    known = read_known(run.folder)
    assert set(known.trials) == {"base", "a", "b", "again"}
    assert known.passed_over == ""
    again = read_run_by(known, run.folder)
    assert isinstance(again.trials[1].history, Curve)
    correct = again.trials[0].robust_correct
    assert correct is not None
    assert correct.tolist() == [True] * 5 + [False] * 6
    assert plain(again) == plain(read_run(run.folder))


def test_what_has_not_changed_is_not_read_again(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "trials" / "a" / "recipe.json"
    before = file.stat()
    file.write_bytes(b" " * before.st_size)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert "a" in {one.id for one in read_run_by(read_known(run.folder), run.folder).trials}
    assert read_run(run.folder).unreadable == ("a",)


@pytest.mark.parametrize("name", ["recipe.json", "outcome.json", "checkpoint/3/state.json"])
def test_what_is_younger_than_the_table_is_read_from_its_folder(run: Run, tmp_path: Path, name: str) -> None:
    file = tmp_path / "trials" / "a" / name
    changed = file.read_text().replace("0.6", "0.5").replace('"number": 1', '"number": 9')
    assert changed != file.read_text()
    file.write_text(changed)  # of the same size
    known = read_known(run.folder)
    assert known.passed_over == f"{TABLE} is older than a trial, read from the folder."
    again = read_run_by(known, run.folder)
    assert plain(again) == plain(read_run(run.folder))
    write_known(again, known)
    assert read_known(run.folder).passed_over == ""
    assert set(read_known(run.folder).trials) == {"base", "a", "b", "again"}


def test_trials_that_are_gone_are_known_no_more(run: Run) -> None:
    run.folder.child("trials", "b").remove()
    known = read_known(run.folder)
    assert set(known.trials) == {"base", "a", "again"}
    assert known.changed == 1
    write_known(read_run_by(known, run.folder), known)
    assert read_known(run.folder).changed == 0


def test_a_trial_that_ends_comes_into_the_table(run: Run, tmp_path: Path) -> None:
    add(tmp_path, "c", number=3, robust=0.7, scores=[0.3, 0.7])
    known = read_known(run.folder)
    found = read_run_by(known, run.folder)
    write_known(found, known)
    again = read_known(run.folder)
    assert set(again.trials) == {"base", "a", "b", "c", "again"}
    assert plain(read_run_by(again, run.folder)) == plain(read_run(run.folder))


def foreign() -> bytes:
    made = pa.BufferOutputStream()
    parquet.write_table(pa.table({"id": ["a"]}).replace_schema_metadata({"layout": "of another version"}), made)
    return bytes(made.getvalue())


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"PAR1 torn", "damaged"), (b"", "damaged"), (foreign(), "not as this version of Temper writes it")],
)
def test_a_table_that_is_damaged_or_of_another_version_is_passed_over_and_said(
    run: Run, content: bytes, words: str
) -> None:
    run.folder.write(TABLE, content)
    known = read_known(run.folder)
    assert known.passed_over.startswith(f"{TABLE} is {words}")
    assert known.passed_over.endswith("so every trial is read from its folder.")
    assert plain(read_run_by(known, run.folder)) == plain(read_run(run.folder))
    write_known(read_run(run.folder), known)
    assert read_known(run.folder).passed_over == ""


def test_the_table_of_another_run_is_of_no_trial_here(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "other"
    start(other)
    add(other, "a", number=7, robust=0.3)
    Folder(str(other)).write(TABLE, run.folder.read(TABLE))
    known = read_known(Folder(str(other)))
    assert known.trials == {}
    assert known.changed == 4
    assert json.loads((other / "trials" / "a" / "recipe.json").read_text())["number"] == 7
