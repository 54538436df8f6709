"""What a person reads while a search runs."""

import time

import pytest

from analysis.run.trials import State
from search.events import Outcome, Proposal
from search.monitoring.progress import Progress, Terminal
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.study.loading import load

STUDY = load("digits")
REFERENCE = FixedRecipes.of(STUDY).reference.recipe


def complete(robust: float, flops: float, seconds: float = 2.0) -> Outcome:
    metrics = {"robust_accuracy": robust, "clean_accuracy": 0.9, "train_flops": flops}
    return Outcome(State.COMPLETE, None, metrics, seconds)


def test_one_line_a_trial_and_a_status_of_what_is_left() -> None:
    lines: list[str] = []
    status: list[str] = []
    progress = Progress(10, 2, REFERENCE.id, 14, time.perf_counter(), lines.append, status.append)
    progress.begin()
    progress.ended(Proposal(base_recipe(STUDY), "base", "base", 0), complete(0.1, 0.0))
    progress.ended(Proposal(REFERENCE, "baseline", "pgd_at_20", 1), complete(0.7, 1e12, seconds=30.0))
    tuned = Proposal(base_recipe(STUDY), "proposed", None, 2)
    progress.ended(tuned, complete(0.6, 5e10, seconds=4.0))
    progress.ended(tuned, Outcome(State.PRUNED, "diverged: nan", None, 1.0))
    assert len(lines) == 5
    assert lines[3].startswith(" 3/10")
    assert "0.600  0.900        5e+10 =   5.0%  dense · ordinary" in lines[3]
    assert "PRUNED: diverged: nan" in lines[4]
    assert status[-1] == "4 of 10 done, most robust proposal 0.600 for 5e+10 FLOPs, about 8 s left"
    assert progress.busy == 37.0
    assert lines[0].index("recipe") == lines[3].index("dense")


def test_a_file_gets_plain_lines_and_a_terminal_a_status_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Terminal()
    plain.status("1 of 2 done")
    plain.line("a trial")
    assert capsys.readouterr().out == "a trial\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    live = Terminal()
    live.status("1 of 2 done")
    live.line("a trial")
    live.status("")
    assert capsys.readouterr().out == "\r\x1b[K1 of 2 done\r\x1b[Ka trial\n1 of 2 done\r\x1b[K"
