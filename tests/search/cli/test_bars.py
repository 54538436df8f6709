"""Bars of commands that take long: on a terminal, and none where programs read."""

import sys
from collections.abc import Callable
from typing import Any

import pytest

from search.cli import evidence
from search.evaluating import evaluate, subjects, words
from tests.support.terminals import FakeTerminal

GIVEN = dict.fromkeys(
    ("weights", "data", "image_size", "pixel_mean", "pixel_std", "norm", "epsilon", "split", "examples", "source")
)


@pytest.mark.parametrize("as_json", [False, True])
def test_evaluate_shows_how_far_an_attack_is_unless_programs_read(
    as_json: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attacked(subject: object, attack: str, seed: int, doing: Callable[[str, int, int], object]) -> str:
        doing("1/2 APGD-CE", 0, 300)
        doing("1/2 APGD-CE", 256, 300)
        return "found"

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(subjects, "find", lambda wanted, say: "subject")
    monkeypatch.setattr(evaluate, "evaluate", attacked)
    monkeypatch.setattr(words, "table", lambda subject, found: [found])
    monkeypatch.setattr(words, "as_json", lambda subject, found: found)
    stream = FakeTerminal()
    monkeypatch.setattr(sys, "stderr", stream)
    command: Any = evidence.evaluate.callback
    command(model="run:id", attack="quick", seed=0, as_json=as_json, force=False, **GIVEN)
    bars = [line.split(",")[0] for line in stream.drawn() if line]
    assert bars == (
        [] if as_json else [f"1/2 APGD-CE  {'░' * 24} 0 of 300", f"1/2 APGD-CE  {'█' * 20}{'░' * 4} 256 of 300"]
    )
    assert stream.drawn()[-1] == ""  # nothing is left of it
