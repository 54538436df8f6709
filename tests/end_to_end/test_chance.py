"""A search in which nothing is learnt: its verdict says so, and there is nothing on its frontier to export.

Its network has a layer that pruning leaves as it is, and the report says so too.
"""

import json
from pathlib import Path

import pytest

from tests.support.command import PGD, temper

pytestmark = pytest.mark.slow

NOTHING = "1.0e-9"  # the learning rate of everything, so that networks stay as they were drawn
SETTINGS = [
    "model.name=with_unused:network",
    "data.train_size=64",
    "data.validation_size=60",
    "evaluation.steps=2",
    "evaluation.progress_steps=1",
    f"pretraining={{epochs: 1, learning_rate: {NOTHING}}}",
    f"baselines=[{{name: b0, perturbation: {PGD}, schedule: {{epochs: 1, learning_rate: {NOTHING}}}}}]",
    "reference=b0",
    "space.schedule.epochs={low: 1, high: 1}",
    f"space.schedule.learning_rate={{low: {NOTHING}, high: 2.0e-9}}",
    "budget.trials=1",
    "resources.max_concurrent=1",
]


SOURCE = """
from torch import nn

def network(image_shape, classes):
    made = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, classes))
    made[0].unused = nn.Linear(3, 3)
    return made
"""


def test_a_study_of_constant_networks_has_no_verdict_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "with_unused.py").write_text(SOURCE)
    done = temper("search", "digits", "--name", "constant", settings=SETTINGS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert sum(line.startswith("warning: base has learnt nothing: it") for line in lines) == 1
    assert sum(line.endswith("; has learnt nothing") for line in lines) == 1
    (verdict,) = [line for line in lines if line.startswith("No verdict: ")]
    assert verdict.startswith("No verdict: the reference, b0, has learnt nothing: it")
    assert "; besides, no proposal is better than chance (the one of the best score: it" in verdict
    run = tmp_path / "runs" / "constant"
    assert json.loads((run / "frontier.json").read_text()) == []
    assert "complete: has learnt nothing: it" in (run / "report.html").read_text()
    assert not [line for line in lines if line.startswith("Next")]
    left = "note: left as they are: 0.unused (it is not used when the network runs)"
    assert left in lines
    assert left in json.loads((run / "run.json").read_text())["network_findings"]
    assert left in (run / "report.html").read_text()
    refused = temper("export", str(run), "--format", "yaml", cwd=tmp_path)
    assert refused.returncode == 2
    assert "no finished proposal is on the frontier" in refused.stderr
