"""What a search of an older version left is reported, exported, compared and learnt from by this one."""

import csv
import io
import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

from analysis.export.onnx_models import write_models
from analysis.export.recipes import render
from analysis.export.selection import CHOICES, pick
from analysis.pareto.frontier import frontier
from analysis.pareto.reference_point import BEFORE
from analysis.run.sessions import End, read_sessions
from analysis.run.trials import Run, read_run
from analysis.status.status import status_of
from analysis.status.words import status_lines
from search.recipes.fixed import FixedRecipes
from search.record.derived_files import conclude, derive
from search.record.run_directory import begun_run
from search.reproduce import reproduce
from search.resume.fingerprint import fingerprint
from search.resume.history import remember
from search.samplers.warm_start import past_trials_of
from search.study.loading import read_study
from tests.support.checkout import ROOT
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.metrics import METRICS
from trainables.execution.ending import EndKind
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

FIXTURES = ROOT / "tests" / "fixtures"
VERSIONS = ("run_0_1", "run_0_2")


@pytest.fixture(params=VERSIONS)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as the older search's was, with its run, what it exported and the user's network."""
    shutil.copytree(FIXTURES / str(request.param), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # without the folder of the test before, once that has ended
    monkeypatch.delitem(sys.modules, "tiny_network", raising=False)
    return tmp_path


@pytest.fixture
def run(place: Path) -> Run:
    return read_run(Folder("run"))


def test_every_recipe_has_the_id_that_it_had(run: Run) -> None:
    assert len(run.trials) == 7
    assert run.unreadable == ()
    for trial in run.trials:
        assert Recipe.model_validate(trial.recipe).id == trial.id


def test_its_status_is_told(run: Run) -> None:
    lines = status_lines(run, status_of(run))
    assert lines[0] == "run: 7 of 7 recipes ended (5 complete, 2 pruned), 0 unfinished"
    assert lines[2].startswith("finished ")
    assert len(lines) == 3
    assert lines[1].startswith("best score of a proposal 0.860 for 1.79e+09 FLOPs = 17.7% of the reference")


def test_every_version_that_left_a_run_is_looked_at() -> None:
    assert sorted(path.name for path in FIXTURES.iterdir()) == sorted(VERSIONS)


def test_recipes_and_numbers_are_the_same_in_every_version() -> None:
    first, *others = (
        {trial.id: trial for trial in read_run(Folder(str(FIXTURES / one / "run"))).trials} for one in VERSIONS
    )
    exact = [name for name, metric in METRICS.items() if metric.exact]
    for other in others:
        assert list(other) == list(first)
        for identity, trial in first.items():
            assert other[identity].state is trial.state
            assert [other[identity].metrics.get(name) for name in exact] == [trial.metrics.get(name) for name in exact]
    assert len(exact) >= 6


def test_what_0_2_brought_is_read() -> None:
    run = read_run(Folder(str(FIXTURES / "run_0_2" / "run")))
    (session,) = read_sessions(run.folder)
    assert (session.end, session.reason, session.host) == (End.FINISHED, "nothing was left to run", "a host")
    kinds = [one.outcome.ending.kind for one in remember(run) if one.outcome is not None]
    assert sorted(kinds) == [EndKind.FINISHED] * 5 + [EndKind.STOPPED] * 2
    asked = [one.proposal.asked for one in remember(run)]
    assert [one.endings for one in asked if one is not None] == [3, 4, 5, 6]
    assert asked[:3] == [None] * 3
    assert run.info["provenance"]["versions"]["temper"] == "0.2.0"
    assert fingerprint(read_study(run.folder), "")["study"] == run.info["fingerprint"]["study"]


def test_its_report_comes_out_as_it_was(run: Run, place: Path) -> None:
    derived = ("frontier.csv", "rungs.csv", "frontier.json")
    before = {name: run.folder.read(name) for name in derived}
    curves = pd.read_parquet(place / "run" / "trials.parquet")
    for name in (*derived, "trials.parquet"):
        (place / "run" / name).unlink()
    sentence = conclude(derive(run))
    assert "reaches 0.830 robust accuracy, 101% of b0's 0.820" in sentence
    assert (place / "run" / "report.html").stat().st_size > 10_000
    told = (ROOT / "docs" / "runs.md").read_text()
    assert [path.name for path in (place / "run").iterdir() if f"`{path.name}" not in told] == []
    again = pd.read_parquet(place / "run" / "trials.parquet")
    pd.testing.assert_frame_equal(again[curves.columns], curves)
    for name in ("frontier.csv", "rungs.csv"):
        old, new = (pd.read_csv(io.BytesIO(content)) for content in (before[name], run.folder.read(name)))
        pd.testing.assert_frame_equal(new[old.columns], old)
    old, new = json.loads(before["frontier.json"]), run.folder.read_json("frontier.json")
    assert [one["id"] for one in new] == [one["id"] for one in old] == [trial.id for trial in frontier(run)]
    for one, other in zip(new, old, strict=True):
        assert (one["recipe"], one["metrics"]) == (other["recipe"], other["metrics"])


@pytest.mark.parametrize("choice", CHOICES)
def test_its_recipes_are_exported_in_every_form(run: Run, choice: str) -> None:
    picked = pick(run, choice)
    as_yaml = yaml.safe_load(render(picked, run, "yaml"))
    assert json.loads(render(picked, run, "json")) == as_yaml
    rows = list(csv.DictReader(io.StringIO(render(picked, run, "csv"))))
    assert [row["id"] for row in rows] == [trial.id for trial in picked]
    records = as_yaml if isinstance(as_yaml, list) else [as_yaml]
    assert [record["recipe"] for record in records] == [trial.recipe for trial in picked]
    assert [record["format"] for record in records] == [1] * len(picked)


def test_its_models_are_exported(run: Run, place: Path) -> None:
    pytest.importorskip("onnxruntime")
    (line,) = write_models(run, pick(run, "max-robust"), str(place / "model.onnx"))
    assert "100.00% of 100 validation images labelled as by PyTorch" in line


def test_a_recipe_that_it_exported_is_reproduced(place: Path) -> None:
    text = reproduce("recipe.yaml")
    assert text.startswith("recipe 29b535a1fd423231")
    assert text.count(" same") + text.count(" within ") == 6


def test_what_its_study_does_not_say_means_what_was_done_then(run: Run) -> None:
    """Recipes of one run are scored by one attack, and in one region, also if a later version goes on with it."""
    study = read_study(run.folder)
    assert study.protocol.attack == "pgd"
    assert study.reference_point == BEFORE
    assert ScoringProtocol.model_validate(run.info["evaluation"]) == study.protocol
    now = study.model_copy(update={"evaluation": study.evaluation.model_copy(update={"attack": "two_losses"})})
    with pytest.raises(InvalidInput, match=r"scored otherwise \(attack was pgd, here two_losses\)"):
        past_trials_of([run], now, FixedRecipes.of(now), print)


def test_a_new_search_learns_from_it_and_a_resumed_one_finds_its_past(run: Run, place: Path) -> None:
    study = read_study(run.folder)
    assert begun_run(".", "run", study) is not None
    assert [lesson["state"] for lesson in past_trials_of([run], study, FixedRecipes.of(study), print)] == [
        "complete",
        "pruned",
        "complete",
        "pruned",
    ]
    past = remember(run)
    assert [one.order for one in past] == list(range(7))
    assert all(one.outcome is not None for one in past)
