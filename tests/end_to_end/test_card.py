"""Searches whose trials share a card: how many fit is measured, and everything after them finds their numbers."""

import json
from pathlib import Path

import pytest

from tests.support.command import SMALL, temper

AT_ONCE = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("card")
    settings = [*SMALL, "resources.gpu=auto", f"resources.max_concurrent={AT_ONCE}"]
    done = temper("search", "digits", "--storage", str(place), "--name", "shared", settings=settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " trials a card: a trial takes " in done.stdout
    return place / "shared"


@pytest.mark.gpu
def test_trials_share_a_card_and_tell_its_energy(run: Path) -> None:
    outcomes = [json.loads(path.read_text()) for path in run.glob("trials/*/outcome.json")]
    assert {one["state"] for one in outcomes} == {"complete"}
    assert all(one["metrics"]["energy_joules"] > 0 for one in outcomes)
    assert json.loads((run / "run.json").read_text())["environment"]["device"] == "cuda"


@pytest.mark.gpu
def test_what_was_trained_on_a_card_is_exported_evaluated_and_trained_again(run: Path) -> None:
    trial, recipe = next(run.glob("trials/*/outcome.json")).parent.name, run.parent / "recipe.yaml"
    shown = temper("export", str(run), "--pick", trial)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    recipe.write_text(shown.stdout)
    for arguments in (
        ("reproduce", str(recipe)),
        ("export", str(run), "--pick", trial, "--format", "onnx", "--output", str(run.parent / "network.onnx")),
        ("evaluate", f"{run}:{trial}", "--examples", "100", "--attack", "quick"),
        ("confirm", str(run), "--pick", trial, "--seeds", "2", "--examples", "50", "--no-conditions"),
    ):
        done = temper(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
