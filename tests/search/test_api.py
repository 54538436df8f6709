"""What people call from Python before a search begins: a study is read and changed, and what is wrong is refused."""

import sys
from copy import deepcopy
from pathlib import Path

import pytest
import yaml

import search
from search.study.loading import shipped
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
        ({"no such": 1}, "expected path.to.key=value"),
    ],
)
def test_a_change_that_is_wrong_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        search.load_study("digits", changes)


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


def test_a_study_of_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such study"):
        search.load_study(tmp_path / "none.yaml")
    with pytest.raises(AttributeError, match="no attribute 'run'"):
        search.run  # noqa: B018  # the lookup itself raises
