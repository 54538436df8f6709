"""`temper confirm` as a user runs it: killed and run again, and the search's own record is as it was."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from analysis.run.trials import read_run
from tests.support.command import SMALL, temper
from tests.support.faults import until
from trainables.storage import Folder

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
OTHER = "other_data.name=digits"  # the same images again, so that the accuracies on them are known
CONFIRM = ["--seeds", "3", "--attack", "quick", "--examples", "50", "--against", "b0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    done = temper("search", "digits", "--storage", str(place), "--name", "run", "--no-try", settings=[*SMALL, OTHER])
    assert done.returncode == 0, done.stdout + done.stderr
    return place / "run"


def files(run: Path, name: str) -> list[Path]:
    return sorted((run / "trials").glob(f"*/{name}"))


def killed_when(run: Path, happened: Callable[[], object]) -> None:
    """Confirms, and kills the driver with all of its workers as soon as something has happened."""
    command = [sys.executable, "-m", "search", "confirm", str(run), *CONFIRM]
    with (run.parent / "log").open("wb") as log:
        driver = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            until(happened, lambda: driver.poll() is None, 240)
        finally:
            driver.kill()
            driver.wait()


def test_a_confirmation_that_is_killed_goes_on_and_the_search_stays_as_it_was(run: Path) -> None:
    before, searched = read_run(Folder(str(run))), len(files(run, "outcome.json"))
    frontier = pd.read_csv(run / "frontier.csv")
    planned = temper("confirm", str(run), *CONFIRM, "--dry-run")
    assert planned.returncode == 0, planned.stdout + planned.stderr
    assert "against   b0" in planned.stdout
    assert len(files(run, "recipe.json")) == searched

    killed_when(run, lambda: len(files(run, "outcome.json")) >= searched + 3)
    ended = {path: path.read_bytes() for path in files(run, "outcome.json")}
    done = temper("confirm", str(run), *CONFIRM)
    assert done.returncode == 0, done.stdout + done.stderr
    assert all(path.read_bytes() == content for path, content in ended.items())
    verdict = json.loads((run / "confirm" / "1" / "verdict.json").read_text())
    against = [one for one in verdict["comparisons"] if one["other"] == "b0"]
    assert len(against) == 1
    assert [set(seeds) for seeds in verdict["robust_accuracy"].values()] == [{"1000", "1001", "1002"}] * 3
    assert verdict["sentences"][0] in done.stdout
    assert f"Kept in {run}/confirm/1, and in {run}/report.html" in done.stdout

    after = read_run(Folder(str(run)))
    assert [trial.id for trial in after.trials] == [trial.id for trial in before.trials]
    assert {trial.role for trial in after.confirmations} == {"confirm"}
    found = pd.read_csv(run / "frontier.csv")
    assert found[frontier.columns].equals(frontier)
    assert set(found.columns) - set(frontier.columns) >= {"confirmed_robust_accuracy", "confirmed_parity"}
    assert "confirmation 1: " in temper("status", str(run)).stdout
    assert not list((run / ".tune").rglob("*"))

    for path in files(run, "conditions-*.json"):
        measured = json.loads(path.read_text())
        assert measured["other_data"] == {"digits": {"clean": measured["clean"], "robust": measured["by_epsilon"]["1"]}}

    # As after a kill while it attacked: of each attack there is a whole file or none.
    attacked = {path: bits(path) for path in files(run, "attack-*.json")}
    lost = list(attacked)[:2]
    for path in lost:
        path.unlink()
    again = temper("confirm", str(run), *CONFIRM)
    assert f"attacking {len(lost)} networks" in again.stdout
    assert attacked == {path: bits(path) for path in files(run, "attack-*.json")}
    assert again.stdout.splitlines()[-8:] == done.stdout.splitlines()[-8:]


def bits(path: Path) -> dict[str, object]:
    """Everything of an attack but its seconds."""
    content: dict[str, object] = json.loads(path.read_text())
    return content | {"turns": [turn[:3] for turn in json.loads(path.read_text())["turns"]]}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "1"], "--seeds: got 1, expected at least 2"),
        (["--pick", "zzz"], "no trial is called 'zzz'"),
        (["--against", "zzz"], "no trial is called 'zzz'"),
    ],
)
def test_what_cannot_be_confirmed_is_refused_in_words(run: Path, arguments: list[str], words: str) -> None:
    done = temper("confirm", str(run), *arguments)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = temper("confirm", str(tmp_path))
    assert (done.returncode, "expected the directory of a run" in done.stderr) == (2, True)
