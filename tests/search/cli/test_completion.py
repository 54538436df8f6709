"""What the shell offers after `temper`: commands, options, shipped studies, runs and the trials of a run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from analysis.export import selection
from search.cli import completion
from search.cli.app import temper
from tests.support.checkout import ROOT
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


def test_networks_of_runs_are_offered_by_run_and_trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        worked_example(tmp_path / "runs" / name)
    monkeypatch.chdir(tmp_path)
    assert offered("evaluate", "runs/o") == ["runs/one", "runs/other"]
    assert {"runs/one:pgd_at_20", "runs/one:a"} <= set(offered("evaluate", "runs/on"))
    words = [f"runs/one:{word}" for word in completion.ONE]
    assert offered("evaluate", "runs/one:")[:3] == words
    assert offered("evaluate", "runs/other:a", "--transfer-from", "runs/one:k") == words[:1]
    assert offered("evaluate", "runs/one:pg") == ["runs/one:pgd_at_20"]
    assert offered("evaluate", "runs/one:a", "--transfer-from", "runs/other:pg") == ["runs/other:pgd_at_20"]
    assert offered("evaluate", "runs/none:") == []
    assert offered("evaluate", "s3://nowhere/runs/one:") == []


def test_runs_trials_recordings_and_files_are_offered_wherever_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worked_example(tmp_path)
    monkeypatch.setenv("COMP_WORDS", f"temper confirm {tmp_path} --against pg")
    assert offered("confirm", str(tmp_path), "--against", "pg") == ["pgd_at_20"]
    assert offered("prune", str(tmp_path), "--keep", "par") == ["parity"]
    assert offered("search", "digits", "--warm-start", str(tmp_path)) == [str(tmp_path)]
    assert offered("simulate", "digits_") == ["digits_wide"]
    shell = ShellComplete(temper, {}, "temper", "_TEMPER_COMPLETE")
    for words in (
        ["reproduce"],
        ["export", "x", "--output"],
        ["evaluate", "x", "--weights"],
        ["record", "x", "--output"],
    ):
        assert [one.type for one in shell.get_completions(words, "a")] == ["file"], words


def test_the_words_that_are_offered_are_those_that_choose() -> None:
    assert completion.ONE == selection.ONE
    assert completion.WORDS == selection.CHOICES


CASES = {  # words as bash divides a line, and what must be among the answers
    "temper evaluate runs/one : pg": "pgd_at_20",
    "temper evaluate runs/one :": "a",
    "temper evaluate runs/on": "runs/one:pgd_at_20",
    "temper evaluate runs/one : a --transfer-from runs/one : pg": "pgd_at_20",
    "temper export runs/one --pick kn": "knee",
    "temper status ''": "runs/one",
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_itself_completes(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    worked_example(tmp_path / "runs" / "one")
    program = tmp_path / "temper"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom search.cli import main\nsys.argv[0] = 'temper'\nmain()\n")
    program.chmod(0o755)
    script = 'eval "$(temper completion bash)"\n' + "".join(
        f"COMPREPLY=(); COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _temper_completion temper\n"
        'echo "${COMPREPLY[@]}"\n'
        for words in CASES
    )
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["bash", "--norc", "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment
    )
    for (words, expected), answers in zip(CASES.items(), done.stdout.splitlines(), strict=True):
        assert expected in answers.split(), (words, answers, done.stderr)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_command_prints_what_the_shell_evaluates(shell: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "search", "completion", shell], capture_output=True, text=True, check=True
    )
    assert f"_TEMPER_COMPLETE={shell}_complete" in done.stdout
