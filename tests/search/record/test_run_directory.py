"""The folder of a new run: whose it is, what is left of drivers that died early, and names that nobody chose."""

import os
import re
import threading
from pathlib import Path

import pytest

from cluster.doctor.shared_storage import PREFIX
from search.failures import PROBE
from search.record.holder import this_process
from search.record.lease import Held
from search.record.run_directory import begun_run, check_place, open_run, open_unnamed_run
from search.study.loading import load
from trainables.errors import InvalidInput
from trainables.storage import Folder


def test_of_two_searches_of_one_name_the_second_is_refused_and_leaves_the_first_ones_folder(tmp_path: Path) -> None:
    with open_run(str(tmp_path), "same") as lease:
        with pytest.raises(Held, match=rf"same: process {os.getpid()} on .* works on it"):
            open_run(str(tmp_path), "same")
        lease.run.write_json("run.json", {})
    assert sorted(lease.run.names()) == ["lease", "run.json"]
    with pytest.raises(InvalidInput, match="exists already; choose another name"):
        open_run(str(tmp_path), "same")


def test_a_folder_in_which_no_search_began_is_removed_at_the_end(tmp_path: Path) -> None:
    with open_run(str(tmp_path), "new") as lease:
        assert lease.run.exists("lease")
    assert not list(tmp_path.iterdir())


def test_a_run_of_another_study_is_told_by_the_keys_that_differ(tmp_path: Path) -> None:
    study = load("digits")
    place = Folder(str(tmp_path)).child("first")
    place.write_json("run.json", {"format": 1})
    place.write_json("study.yaml", study.model_dump(mode="json"))
    assert begun_run(str(tmp_path), "first", study) == place
    assert begun_run(str(tmp_path), "first", load("digits", ["listeners=[mine:told]"])) == place
    other = load("digits", ["resources.max_concurrent=3", "budget.trials=3", "listeners=[mine:told]"])
    with pytest.raises(InvalidInput) as refused:
        begun_run(str(tmp_path), "first", other)
    named = str(refused.value).partition("(")[2].partition(")")[0]
    assert named == "budget.trials, resources.max_concurrent"


def test_what_a_driver_left_that_died_before_its_search_began_is_removed(tmp_path: Path) -> None:
    place = Folder(str(tmp_path)).child("new")
    place.write("study.yaml", b"name: dig")
    place.child("tensorboard").write("events", b"...")
    place.child(f"{PREFIX}0a1b2c").write("driver", b"driver")
    place.write(PROBE, b"...")
    place.child("lease", "1").write_json("claim.json", this_process() | {"pid": 2**30})
    check_place(str(tmp_path), "new")
    with open_run(str(tmp_path), "new", lambda text: None) as lease:
        assert lease.term == 2
        assert lease.run.names() == ["lease"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a/b", "", "..", "begun"])
def test_a_dry_run_refuses_the_names_that_a_search_refuses(name: str, tmp_path: Path) -> None:
    Folder(str(tmp_path)).child("begun").write_json("run.json", {})
    with pytest.raises(InvalidInput) as refused:
        open_run(str(tmp_path), name)
    with pytest.raises(InvalidInput, match=re.escape(str(refused.value))):
        check_place(str(tmp_path), name)


def test_a_dry_run_refuses_a_storage_that_cannot_be_written_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name in ("new", None):
        with pytest.raises(InvalidInput, match=r"cannot be written \(Not a directory\); choose another storage"):
            check_place(str(tmp_path / "file" / "runs"), name)
        check_place(str(tmp_path / "not" / "yet"), name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_searches_that_begin_at_once_without_a_name_get_names_of_their_own(tmp_path: Path) -> None:
    study, names, start = load("digits"), list[str](), threading.Barrier(6)

    def begin() -> None:
        start.wait()
        names.append(open_unnamed_run(str(tmp_path), study).run.name)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(names)) == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_a_storage_in_the_home_folder_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_run("~/runs", "one") as lease:
        assert lease.run.local == tmp_path / "runs" / "one"
        assert str(lease.run) == f"{tmp_path}/runs/one"
    with pytest.raises(InvalidInput, match=r"~nobody-of-that-name/runs: no home folder of that user is known"):
        Folder("~nobody-of-that-name/runs")
