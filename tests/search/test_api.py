"""What people call from Python before a search begins: a study is read and changed, and what is wrong is refused."""

import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import search
from analysis.results.results import Results
from search.study.loading import shipped
from tests.support.run_directories import worked_example
from trainables.errors import InvalidInput


def test_a_study_is_changed_by_plain_data() -> None:
    changes = {"budget.trials": 3, "sampler.kind": "random", "space.perturbation.epsilon": {"low": 0.01, "high": 0.05}}
    study = search.load_study("digits", changes)
    assert study.budget.trials == 3
    assert study.sampler.kind == "random"
    assert study.space is not None
    assert study.space.perturbation.epsilon.high == 0.05
    assert search.load_study("digits") == search.load_study("digits", {})


def test_a_study_is_read_from_plain_data_which_stays_as_it_was() -> None:
    keys = yaml.safe_load(shipped()["digits"].read_bytes())
    before = deepcopy(keys)
    assert search.load_study(keys) == search.load_study("digits")
    assert search.load_study(keys, {"budget.trials": 3}).budget.trials == 3
    assert keys == before
    with pytest.raises(InvalidInput, match=r"^bugdet: unknown key, did you mean budget\?$"):
        search.load_study(keys | {"bugdet": {}})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget.trials": -1}, "budget.trials"),
        ({"seed": {1, 2}}, "seed: got {1, 2}, expected plain data"),
        ({"pretraining.learning_rate": float("nan")}, "pretraining.learning_rate: got nan"),
        ({"no such": 1}, "^settings: no such=1: expected path.to.key=value"),
        (["budget.trials=3"], r"^settings: got \['budget.trials=3'\], expected changes by key, such as {"),
    ],
)
def test_a_change_that_is_wrong_is_refused(changes: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        search.load_study("digits", changes)


def test_numbers_of_numpy_are_plain_data() -> None:
    changes = {"budget.trials": np.int64(3), "space.perturbation.epsilon": {"low": np.float32(0.25), "high": 0.5}}
    study = search.load_study("digits", changes)
    assert study.budget.trials == 3
    assert study.space is not None
    assert study.space.perturbation.epsilon.low == 0.25


@pytest.mark.parametrize(
    ("function", "given", "named", "words"),
    [
        (search.load_study, None, {}, "^study: got None, expected a shipped study's name, a path, or a study's keys$"),
        (search.run_study, 3, {}, "^study: got 3, expected a shipped study's name, a path, or a study's keys$"),
        (search.run_study, "digit", {}, "^digit: no such study"),
        (search.run_study, {"bugdet": {}}, {}, "bugdet: unknown key, did you mean budget"),
        (search.resume_run, "runs/x", {"add": 1}, '^add: got 1, expected amounts by name, such as {"trials": 20}'),
        (search.resume_run, "runs/x", {"add": {"epochs": 3}}, r"^add: got 'epochs=\+3', expected trials"),
        (search.resume_run, None, {}, "^run: got None, expected a run directory, its URI, or what run_study"),
    ],
)
def test_an_argument_of_another_kind_is_refused_in_words(
    function: Callable[..., object], given: object, named: dict[str, object], words: str
) -> None:
    with pytest.raises(InvalidInput, match=words):
        function(given, **named)


def test_a_run_to_learn_from_is_one_path_or_several(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("require_free_ray", "prepare_environment"):
        monkeypatch.setattr(f"search.api.{name}", lambda *_, **__: None)
    earlier = tmp_path / "earlier"
    for given in (str(earlier), earlier, [str(earlier)], (earlier,)):
        with pytest.raises(InvalidInput, match=rf"^{earlier}: no readable run\.json in it"):
            search.run_study("digits", storage=tmp_path / "runs", warm_start=given)


def test_results_stand_for_their_run(tmp_path: Path) -> None:
    results = Results(worked_example(tmp_path))
    (tmp_path / "run.json").unlink()
    with pytest.raises(InvalidInput, match=rf"^{tmp_path}: no readable run\.json in it"):
        search.resume_run(results)


def test_every_function_and_file_that_cannot_be_had_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    changes = {
        "model.name": "nowhere:net",
        "data.name": "nowhere:data",
        "ship": ["missing.json"],
        "first": [{"steps": 3}],
        "listeners": ["__main__:Tracker"],
    }
    with pytest.raises(InvalidInput) as refused:
        search.load_study("digits", changes)
    keys = [problem.partition(":")[0] for problem in refused.value.problems]
    assert sorted(keys) == ["data.name", "first.0.steps", "listeners.0", "model.name", "ship.0"]


@pytest.mark.parametrize("starts", ["search.run_study(study)", "search.resume_run('runs/earlier')"])
def test_a_script_that_is_imported_for_its_own_study_starts_no_search(
    starts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))  # the module's folder is put there
    lines = ["import search", "def load(split):", "    raise OSError('searched')"]
    lines += ["study = search.load_study('digits', {'data.name': 'without_guard:load'})", starts]
    Path("without_guard.py").write_text("\n".join(lines))
    words = "^a search was started while without_guard is imported for a study; put what starts it below `if __name__"
    with pytest.raises(InvalidInput, match=words):
        search.load_study("digits", {"data.name": "without_guard:load"})
    with pytest.raises(InvalidInput, match="no readable run"):  # nothing is imported any more
        search.resume_run("runs/earlier")


def test_a_study_of_a_file_is_read_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.yaml").write_bytes(shipped()["digits"].read_bytes())
    for path in ("~/mine.yaml", Path("~/mine.yaml"), tmp_path / "mine.yaml"):
        assert search.load_study(path) == search.load_study("digits")
    with pytest.raises(InvalidInput, match="no such study"):
        search.load_study(tmp_path / "none.yaml")
    with pytest.raises(AttributeError, match="no attribute 'run'"):
        search.run  # noqa: B018  # the lookup itself raises
