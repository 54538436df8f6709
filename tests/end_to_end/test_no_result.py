"""Searches that came to nothing, or were not to: what they leave, and how they exit."""

from pathlib import Path

import pytest

from search.record.run_directory import begun_run, open_run
from search.study.loading import load
from tests.support.command import SMALL, temper, temper_here
from trainables.errors import InvalidInput
from trainables.storage import Folder


def test_a_run_that_died_before_its_first_trial_begins_anew_and_other_folders_stay(tmp_path: Path) -> None:
    study, storage = load("digits"), str(tmp_path)
    assert begun_run(storage, "new", study) is None
    Folder(storage).child("torn").write("study.yaml", b"name: dig")
    Folder(storage).child("mine").write("thesis.tex", b"...")
    assert begun_run(storage, "torn", study) is begun_run(storage, "mine", study) is None
    with open_run(storage, "torn") as lease:
        assert lease.run.names() == ["lease"]
    with pytest.raises(InvalidInput, match="exists already"):
        open_run(storage, "mine")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    done = temper_here("search", "digits", "--dry-run", "--storage", str(tmp_path / "runs"))
    assert done.returncode == 0
    assert "pgd_at_20" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_no_success_is_exit_3(tmp_path: Path) -> None:
    settings = [*SMALL, "pretraining.learning_rate=1e30"]
    settings += [f"baselines.{number}.schedule.learning_rate={number + 1}e30" for number in range(4)]
    done = temper("search", "digits", "--storage", str(tmp_path), "--name", "lost", settings=settings)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "diverged" in done.stderr
