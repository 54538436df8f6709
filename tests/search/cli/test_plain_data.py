"""What commands print with `--json`: the same as for people, as plain data."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from cluster.doctor.findings import Access, findings
from cluster.doctor.node_report import Report
from search.cli.app import temper
from search.preflight import doctor
from search.study.loading import shipped
from tests.support.checkout import ROOT
from tests.support.run_directories import add, start, worked_example
from trainables.errors import Unsound


def printed(*arguments: str) -> Any:
    done = CliRunner().invoke(temper, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return json.loads(done.stdout)


def test_status(tmp_path: Path) -> None:
    worked_example(tmp_path)
    found = printed("status", str(tmp_path), "--json")
    assert found["run"] == str(tmp_path)
    assert found["ended"] == {"complete": 5, "pruned": 1}
    assert [(one["id"], one["epoch"]) for one in found["running"]] == [("d", 0)]
    assert found["best"]["id"] == "b"
    assert found["best"]["robust_accuracy"] == 0.78


def test_status_of_a_run_in_which_nothing_has_ended(tmp_path: Path) -> None:
    start(tmp_path, planned_recipes=9)
    add(tmp_path, "a", state=None, scores=[0.1, 0.4])
    found = printed("status", str(tmp_path), "--json")
    assert (found["planned"], found["ended"], found["best"]) == (9, {}, None)
    (running,) = found["running"]
    assert (running["epoch"], running["epochs"], running["robust_accuracy"]) == (2, 6, 0.4)


def test_studies() -> None:
    found = printed("studies", "--json")
    assert [one["name"] for one in found] == list(shipped())
    assert all(one["description"] for one in found)


def test_a_study_that_is_valid_and_one_that_is_not() -> None:
    found = printed("validate", "digits", "--json", "--set", "budget.trials=7")
    assert found == {"valid": True, "baselines": 6, "proposals": 7, "notes": []}
    done = CliRunner().invoke(temper, ["validate", "digits", "--json", "--set", "budget.trials=-1", "--set", "seed=x"])
    refused = json.loads(done.stdout)
    assert not refused["valid"]
    assert [problem.partition(":")[0] for problem in refused["problems"]] == ["budget.trials", "seed"]


def test_what_a_doctor_found(monkeypatch: pytest.MonkeyPatch) -> None:
    node = Report("vm/5c7392", {"python": "3.11.7"}, "/home/me/temper", "5f2c", free_memory=10**11)
    access = Access(open=True)

    def examine(study: object, *, say: Callable[[str], object], **asked: object) -> doctor.Examination:
        say("for people alone")
        return doctor.Examination((node,), access, findings(node, [node], {}, [], {}, access))

    monkeypatch.setattr(doctor, "examine", examine)
    done = CliRunner().invoke(temper, ["doctor", "--json"])
    found = json.loads(done.stdout)
    assert (found["sound"], found["estimate"], found["access"]["open"]) == (False, None, True)
    assert found["nodes"][0]["versions"] == {"python": "3.11.7"}
    (finding,) = found["findings"]
    assert finding["node"] == "the cluster"
    assert "without a token" in finding["problem"]
    assert "RAY_AUTH_MODE=token" in finding["fix"]
    assert isinstance(done.exception, Unsound)


def test_an_exported_recipe() -> None:
    run = str(ROOT / "tests" / "fixtures" / "run_0_2" / "run")
    assert printed("export", run, "--json") == printed("export", run, "--format", "json")
    refused = CliRunner().invoke(temper, ["export", run, "--json", "--format", "csv"])
    assert refused.exit_code == 2
    assert "--json goes with no --format but json" in refused.output
