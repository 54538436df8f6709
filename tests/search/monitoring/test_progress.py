"""What a person reads while a search runs."""

import contextlib
import io
import os
import sys
import time
from typing import Any, cast

import pytest

from search.events import Outcome, Proposal
from search.monitoring.progress import Progress, Terminal
from search.monitoring.tally import Tally
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from tests.support.terminals import FakeTerminal
from trainables.execution.ending import FINISHED, Ending, EndKind

STUDY = load("digits")
REFERENCE = FixedRecipes.of(STUDY).reference.recipe


def complete(robust: float, flops: float, seconds: float = 2.0) -> Outcome:
    metrics = {"robust_accuracy": robust, "clean_accuracy": 0.9, "train_flops": flops}
    return Outcome(FINISHED, metrics, seconds)


def test_what_cannot_be_printed_ends_no_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A closed pipe, and the letter ε where the output is Latin-1."""
    kept = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(kept, encoding="latin-1"))
    Terminal().line("PGD ε 0.2 ü")
    assert kept.getvalue() == "PGD ? 0.2 ü\n".encode("latin-1")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        Terminal().line("nobody reads it")
        with contextlib.suppress(BrokenPipeError):
            pipe.close()
    Terminal().line("and it is closed")


def test_one_line_a_trial_and_a_status_of_what_is_left() -> None:
    lines: list[str] = []
    status: list[str] = []
    tally = Tally(FixedRecipes.of(STUDY))
    progress = Progress(tally, 10, 2, 14, time.perf_counter(), lines.append, status.append)

    def ended(proposal: Proposal, outcome: Outcome) -> None:
        for listener in (tally, progress):
            listener.ended(proposal, outcome)

    progress.begin()
    ended(Proposal(base_recipe(STUDY), "base", "base", 0), complete(0.1, 0.0))
    ended(Proposal(REFERENCE, "baseline", "pgd_at_20", 1), complete(0.7, 1e12, seconds=30.0))
    tuned = Proposal(base_recipe(STUDY), "proposed", None, 2)
    ended(tuned, complete(0.6, 5e10, seconds=4.0))
    ended(tuned, Outcome(Ending(EndKind.DIVERGED, "diverged: nan"), None, 1.0))
    assert len(lines) == 5
    assert lines[3].startswith(" 3/10")
    assert "0.600  0.900        5e+10 =   5.0%  dense · ordinary" in lines[3]
    assert "  PRUNED: diverged: nan; dense · ordinary" in lines[4]
    assert status[-1] == "4 of 10 done, best score 0.600 for 5e+10 FLOPs, about 8 s left"
    assert progress.busy == 37.0
    assert lines[0].index("recipe") == lines[3].index("dense")


def test_the_best_proposal_keeps_the_constraints() -> None:
    study = load("digits", ["constraints=[inference_macs <= 0.5 of dense, clean_accuracy >= 0.85]"])
    tally = Tally(FixedRecipes.of(study), study.constraints)

    def ended(role: str, robust: float, macs: float, clean: float) -> None:
        metrics = {"robust_accuracy": robust, "clean_accuracy": clean, "inference_macs": macs, "train_flops": 1.0}
        tally.ended(Proposal(base_recipe(study), cast(Any, role), None, 0), Outcome(FINISHED, metrics, 1.0))

    ended("proposed", 0.9, 1.0, 0.9)  # not even the base is known
    ended("base", 0.1, 100.0, 0.95)
    for robust, macs, clean in ((0.8, 60.0, 0.9), (0.7, 40.0, 0.5), (0.6, 50.0, 0.85), (0.5, 10.0, 0.9)):
        ended("proposed", robust, macs, clean)
    assert tally.best is not None
    assert tally.best["robust_accuracy"] == 0.6


def test_of_equally_robust_proposals_the_cheapest_is_the_best() -> None:
    tally = Tally(FixedRecipes.of(STUDY))
    for flops in (2e9, 1e9, 3e9):
        tally.ended(Proposal(base_recipe(STUDY), "proposed", None, 0), complete(0.6, flops))
    assert tally.best is not None
    assert tally.best["train_flops"] == 1e9


LEVEL = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.03, "answers_one_class": 0}


def test_a_base_that_learnt_nothing_is_said_when_it_ends_and_a_proposal_is_marked() -> None:
    lines: list[str] = []
    tally = Tally(FixedRecipes.of(STUDY))
    progress = Progress(tally, 10, 2, 14, time.perf_counter(), lines.append)
    nothing = {"robust_accuracy": 0.16, "clean_accuracy": 0.16, "train_flops": 1e9, **LEVEL}
    blind = {**LEVEL, "robust_accuracy": 0.6, "clean_accuracy": 0.9, "train_flops": 1e9, "zero_gradient_share": 0.5}
    for role, metrics in (("base", nothing), ("baseline", blind), ("proposed", nothing), ("proposed", blind)):
        proposal = Proposal(base_recipe(STUDY), cast(Any, role), role, 0)
        for listener in (tally, progress):
            listener.ended(proposal, Outcome(FINISHED, metrics, 1.0))
    assert len(lines) == 6
    assert lines[1] == (
        "warning: base has learnt nothing: its clean accuracy of 0.160 is not 2 standard errors above the chance level "
        "of 0.100 ± 0.030"
    )
    assert lines[3].startswith("warning: baseline: 50.0% of the attack's gradients are zero")
    assert lines[4].endswith("; has learnt nothing")
    assert lines[5].endswith("; 50.0% of the attack's gradients are zero, so it could not move those images")
    assert tally.best == blind


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
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((8, 24)))
    live.status("1 of 2 done")  # a line that is broken cannot be erased
    live.line("a trial")
    assert capsys.readouterr().out == "\r\x1b[K1 of 2 \r\x1b[Ka trial\n1 of 2 "


def test_a_task_with_parts_is_a_bar_on_a_terminal_with_the_time_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream, now = FakeTerminal(), 0.0
    terminal = Terminal(stream, clock=lambda: now)
    terminal.doing("writing")
    terminal.doing("trying", 0, 4000)
    now = 5.0
    terminal.doing("trying", 1000, 4000)
    terminal.doing("again", 1000, 4000)
    terminal.doing("a " * 60, 1, 2)
    drawn = stream.drawn()
    assert drawn[:2] == ["writing", f"trying  {'░' * 24} 0 of 4,000"]
    assert drawn[2] == f"trying  {'█' * 6}{'░' * 18} 1,000 of 4,000, about 15 s left"
    assert drawn[3] == f"again  {'█' * 6}{'░' * 18} 1,000 of 4,000"  # it has no pace yet
    assert max(map(len, drawn)) == 79
    stream.encoding = "ascii"
    plain = Terminal(stream)
    plain.doing("trying", 4, 4)
    assert stream.getvalue().endswith(f"trying  {'#' * 24} 4 of 4")


def test_a_task_with_parts_is_a_line_once_in_a_while_in_a_file() -> None:
    stream, now = FakeTerminal(live=False), 0.0
    terminal = Terminal(stream, clock=lambda: now)
    for second in range(100):
        now = float(second)
        terminal.doing("writing")
        terminal.doing("trying", second, 100)
    assert stream.getvalue() == ""  # each is another task than the one before
    terminal.doing("writing")
    for second in range(100, 200):
        now = float(second)
        terminal.doing("trying", second - 100, 100)
    assert stream.getvalue().splitlines() == [
        "trying: 30 of 100, about 70 s left",
        "trying: 60 of 100, about 40 s left",
        "trying: 90 of 100, about 10 s left",
    ]
