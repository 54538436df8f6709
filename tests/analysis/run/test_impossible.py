"""Records with values that no search writes are named and left out; all others are taken."""

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.report.report import write_report
from analysis.run.trials import read_run
from search.resume.corrupt_files import corrupt_files
from tests.support.checkout import ROOT
from tests.support.run_directories import worked_example
from trainables.storage import Folder

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("outcome.json", {"metrics": {"robust_accuracy": 1.7}}, "robust_accuracy 1.7, expected a number from 0 to 1"),
    ("outcome.json", {"metrics": {"clean_accuracy": -0.1}}, "clean_accuracy -0.1, expected a number from 0 to 1"),
    ("outcome.json", {"metrics": {"train_flops": -1.0}}, "train_flops -1.0, expected a number from 0"),
    ("outcome.json", {"metrics": {"train_flops": "1e9"}}, "train_flops '1e9', expected a number"),
    ("outcome.json", {"metrics": {"inference_macs": float("nan")}}, "inference_macs nan, expected a number"),
    ("outcome.json", {"metrics": {"train_flops": 10**400}}, "train_flops 1000"),
    ("outcome.json", {"metrics": {"parameters": True}}, "parameters True, expected a number"),
    ("outcome.json", {"metrics": [1, 2]}, "metrics is no group of numbers"),
    ("outcome.json", {"seconds": -5}, "seconds -5, expected a number from 0"),
    ("outcome.json", {"order": -1}, "order -1, expected a whole number from 0"),
    ("outcome.json", {"robust_correct": "ff", "examples": 9}, "examples 9, expected the number of images"),
    ("recipe.json", {"number": -1}, "number -1, expected a whole number from 0"),
    ("recipe.json", {"number": True}, "number True, expected a whole number from 0"),
    ("recipe.json", {"number": 1.5}, "number 1.5, expected a whole number from 0"),
    ("recipe.json", {"recipe": []}, "recipe is no group of keys"),
]


@pytest.mark.parametrize(("file", "change", "told"), WRONG)
def test_it_is_named_and_left_out(file: str, change: dict[str, Any], told: str, tmp_path: Path) -> None:
    worked_example(tmp_path)
    place = tmp_path / "trials" / "b" / file
    content = json.loads(place.read_text())
    for name, value in change.items():
        content[name] = content[name] | value if isinstance(value, dict) else value
    place.write_text(json.dumps(content))
    run = read_run(Folder(str(tmp_path)))
    assert "b" not in {trial.id for trial in run.trials}
    assert len(run.trials) == 6
    assert run.unreadable == ()
    (line,) = run.left_out
    assert line.startswith(f"trials/b: left out, it has {told}")
    assert f"{line}; as if it had never begun" in corrupt_files(run)
    write_report(run)
    assert "trials/b: left out" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize("name", ["run_0_1", "run_0_2"])
def test_nothing_of_a_run_that_a_search_wrote_is_left_out(name: str) -> None:
    run = read_run(Folder(str(ROOT / "tests" / "fixtures" / name / "run")))
    assert run.left_out == run.unreadable == ()
    assert len(run.trials) >= 7
