"""The worked examples of bringing one's own data, network, attack and compression method, as they stand there."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command import temper, temper_here

ROOT = Path(__file__).parents[2]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "your-own.md"
TRACKER = "Your own tracker"
MLFLOW = """
import json, types

class MlflowClient:
    \"\"\"What the example calls of MLflow's, which keeps the calls; the example itself was run with MLflow 3.\"\"\"

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return self.keep("create_experiment", name)

    def create_run(self, experiment_id, start_time=None, tags=None, run_name=None):
        run = self.keep("create_run", experiment_id, tags or {}, run_name)
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run))

    def log_param(self, run_id, key, value):
        self.keep("log_param", run_id, key, value)

    def log_metric(self, run_id, key, value, timestamp=None, step=None):
        self.keep("log_metric", run_id, key, float(value), step)

    def set_terminated(self, run_id, status=None):
        self.keep("set_terminated", run_id, status)

    def keep(self, *call):
        with open("calls.jsonl", "a") as file:
            file.write(json.dumps(call) + chr(10))
        return call[0] + str(sum(1 for _ in open("calls.jsonl")))
"""
OWN = {"Your own attack": "mi_fgsm", "Your own compression method": "low_rank"}  # section to the file that is tested


def section_of(heading: str) -> str:
    return PAGE.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]


def blocks_of(heading: str) -> dict[str, str]:
    """The section's one block of Python, and its one of YAML."""
    found = re.findall(r"```(python|yaml)\n(.*?)```", section_of(heading), re.DOTALL)
    assert [language for language, _ in found] == ["python", "yaml"]
    return dict(found)


def study_with(*headings: str) -> dict[str, Any]:
    """The study of one's own data and network, with what other sections add to it."""
    study: dict[str, Any] = yaml.safe_load(blocks_of("Your own data and network")["yaml"])
    for heading in headings:
        added = yaml.safe_load(blocks_of(heading)["yaml"])
        if heading == TRACKER:
            study |= added
            continue
        assert set(added) == {"baselines", "space"}
        study["baselines"] += added["baselines"]
        study["space"] |= added["space"]
    return study


def write(folder: Path, study: dict[str, Any]) -> None:
    (folder / "odd.py").write_text(blocks_of("Your own data and network")["python"])
    for heading, module in {**OWN, TRACKER: "to_mlflow"}.items():
        (folder / f"{module}.py").write_text(blocks_of(heading)["python"])
    (folder / "mlflow.py").write_text(MLFLOW)
    (folder / "odd.yaml").write_text(yaml.safe_dump(study))


@pytest.mark.parametrize("heading", OWN)
def test_code_of_ones_own_is_the_code_that_the_suites_run(heading: str) -> None:
    tested = (ROOT / "tests" / "support" / f"{OWN[heading]}.py").read_text()
    assert re.split(r"(?m)^(?=from |import )", tested, maxsplit=1)[1] == blocks_of(heading)["python"]


def test_studies_with_what_is_ones_own_are_valid_and_a_wrong_one_is_not(tmp_path: Path) -> None:
    study = study_with(*OWN)
    write(tmp_path, study)
    valid = temper_here("validate", "odd.yaml", cwd=tmp_path)
    assert valid.returncode == 0, valid.stderr
    assert "valid (3 baselines, 4 proposals)" in valid.stdout
    study["baselines"][1]["perturbation"]["settings"] = {"strides": 5}
    write(tmp_path, study)
    refused = temper_here("validate", "odd.yaml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "baselines.1.perturbation.kind: mi_fgsm:attack does not take the keyword arguments" in refused.stderr


def test_the_short_study_of_readme_is_valid_with_the_rest_of_the_long_one(tmp_path: Path) -> None:
    (short,) = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.DOTALL)
    write(tmp_path, study_with() | yaml.safe_load(short))
    valid = temper_here("validate", "odd.yaml", cwd=tmp_path)
    assert valid.returncode == 0, valid.stderr


@pytest.mark.slow
def test_a_search_with_ones_own_attack_compression_method_and_tracker_runs(tmp_path: Path) -> None:
    write(tmp_path, study_with(*OWN, TRACKER))
    done = temper("search", "odd.yaml", "--name", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    trials = tmp_path / "runs" / "mine" / "trials"
    states = [json.loads(path.read_text())["state"] for path in trials.glob("*/outcome.json")]
    assert states == ["complete"] * 8
    recipes = [json.loads(path.read_text()) for path in trials.glob("*/recipe.json")]
    named = {one["name"]: one["recipe"] for one in recipes}
    assert named["mi_fgsm_at"]["perturbation"]["kind"] == "mi_fgsm:attack"
    assert named["low_rank"]["compression"]["method"] == "low_rank:LowRank"
    calls = [json.loads(line) for line in (tmp_path / "calls.jsonl").read_text().splitlines()]
    begun = [call for call in calls if call[0] == "create_run"]
    assert begun[0][3] == "mine"
    assert {call[3] for call in begun if call[2].get("role") == "baseline"} == {"pgd_at", "mi_fgsm_at", "low_rank"}
    assert len(begun) == 9  # the search's own, and one for each recipe
    assert [call[2] for call in calls if call[0] == "set_terminated"] == ["FINISHED"] * 8 + [None]
    scores = sorted(call[3] for call in calls if call[:1] == ["log_metric"] and call[2] == "final_robust_accuracy")
    found = [json.loads(path.read_text())["metrics"]["robust_accuracy"] for path in trials.glob("*/outcome.json")]
    assert scores == sorted(found)


@pytest.mark.slow
def test_the_worked_example_runs(tmp_path: Path) -> None:
    section, blocks = section_of("Your own data and network"), blocks_of("Your own data and network")
    (tmp_path / "odd.py").write_text(blocks["python"])
    (tmp_path / "odd.yaml").write_text(blocks["yaml"])
    assert "temper search odd.yaml" in section
    done = temper("search", "odd.yaml", "--name", "mine", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads(path.read_text()) for path in (tmp_path / "runs" / "mine" / "trials").glob("*/outcome.json")]
    assert len(found) == 6
    assert {outcome["state"] for outcome in found} == {"complete"}
    reference = next(outcome for outcome in found if outcome["metrics"]["epochs"] == 6)
    assert reference["metrics"]["robust_accuracy"] > 0.6  # two classes: chance is 0.5
    (tmp_path / "odd.py").write_text(blocks["python"].replace("2), classes)", "2), classes + 1)"))
    refused = temper("search", "odd.yaml", "--name", "wrong", cwd=tmp_path)
    assert refused.returncode == 2
    assert "does not give a tensor with a score for each of 2 classes" in refused.stderr
    (tmp_path / "odd.py").write_text("def load(split) return 3")
    torn = temper("search", "odd.yaml", "--name", "wrong", cwd=tmp_path)
    assert torn.returncode == 2
    assert "data.name: got 'odd:load', which cannot be imported" in torn.stderr
    assert not (tmp_path / "runs" / "wrong").exists()
