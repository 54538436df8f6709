"""What the shell offers after `temper`: commands, options, shipped studies, runs and the trials of a run."""

import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from search.cli.app import temper
from tests.support.run_directories import worked_example


def offered(*words: str) -> list[str]:
    """What is offered for the last word."""
    *before, incomplete = words
    shell = ShellComplete(temper, {}, "temper", "_TEMPER_COMPLETE")
    return [one.value for one in shell.get_completions(before, incomplete)]


def test_commands_options_and_studies_are_offered() -> None:
    assert offered("comp") == ["compare", "completion"]
    assert "--dry-run" in offered("search", "digits", "--d")
    assert offered("search", "digi") == ["digits", "digits_recorded", "digits_wide_recorded"]
    assert offered("doctor", "digits_") == ["digits_recorded", "digits_wide_recorded"]


def test_runs_are_offered_by_their_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        worked_example(tmp_path / "runs" / name)
    (tmp_path / "runs" / "no_run").mkdir()
    monkeypatch.chdir(tmp_path)
    assert offered("status", "") == ["runs/one", "runs/other"]
    assert offered("resume", "runs/ot") == ["runs/other"]
    assert offered("compare", "runs/one", "runs/") == ["runs/one", "runs/other"]
    assert offered("report", f"{tmp_path}/runs/on") == [f"{tmp_path}/runs/one"]


def test_picks_are_words_and_finished_trials_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_example(tmp_path)
    monkeypatch.setenv("COMP_WORDS", f"temper export {tmp_path} --pick ")  # as the shell tells
    found = offered("export", str(tmp_path), "--pick", "")
    assert found[:4] == ["knee", "parity", "max-robust", "all"]
    assert {"pgd_at_20", "a", "b"} <= set(found)
    assert "d" not in found  # it still runs
    assert offered("confirm", str(tmp_path), "--pick", "pg") == ["pgd_at_20"]
    monkeypatch.setenv("COMP_WORDS", f"temper export {tmp_path / 'none'} --pick p")
    assert offered("export", str(tmp_path / "none"), "--pick", "p") == ["parity"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_what_the_shell_evaluates(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "search", "completion", shell], capture_output=True, text=True, check=True
    )
    assert f"_TEMPER_COMPLETE={shell}_complete" in done.stdout
