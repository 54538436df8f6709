"""README's worked example of bringing one's own data and network, as it stands there."""

import json
import re
from pathlib import Path

import pytest

from tests.support.command import temper

README = Path(__file__).parents[2] / "README.md"


@pytest.mark.slow
def test_the_worked_example_runs(tmp_path: Path) -> None:
    section = README.read_text().split("## Your own data and network")[1].split("\n## ")[0]
    blocks = dict(re.findall(r"```(python|yaml)\n(.*?)```", section, re.DOTALL))
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
