"""The documents' attack of one's own, in a baseline and in the space of a whole search."""

import json
from pathlib import Path

import pytest

from tests.support.command import temper

EXAMPLE = Path(__file__).parents[1] / "support" / "mi_fgsm.py"
SETTINGS = [
    "data={name: digits, train_size: 200, validation_size: 100}",
    "threat_model.epsilon=0.02",  # so weak that networks which were trained for a moment are above chance
    "pretraining.epochs=3",
    "baselines=[{name: own_at, perturbation: {kind: 'mi_fgsm:attack', epsilon: 0.02, settings: {steps: 4}}, "
    "schedule: {epochs: 3, learning_rate: 0.05, batch_size: 8}}]",
    "reference=own_at",
    "space.perturbation={kind: ['mi_fgsm:attack'], epsilon: {low: 0.01, high: 0.02}}",
    "space.schedule.epochs={low: 1, high: 1}",
    "space.schedule.batch_size=8",
    "budget.trials=1",
]


@pytest.mark.thorough
@pytest.mark.slow
def test_a_search_trains_on_it_and_its_recipes_can_be_exported(tmp_path: Path) -> None:
    (tmp_path / "mi_fgsm.py").write_text(EXAMPLE.read_text())
    done = temper("search", "digits", "--name", "mine", settings=SETTINGS, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mi_fgsm:attack steps 4 ε 0.02" in done.stdout
    trials = tmp_path / "runs" / "mine" / "trials"
    attacks = [json.loads(path.read_text())["recipe"]["perturbation"] for path in trials.glob("*/recipe.json")]
    assert sorted(attack["kind"] for attack in attacks) == ["mi_fgsm:attack", "mi_fgsm:attack", "none"]
    found = [json.loads(path.read_text()) for path in trials.glob("*/outcome.json")]
    assert [outcome["state"] for outcome in found] == ["complete"] * 3
    (tmp_path / "mi_fgsm.py").unlink()  # what reads a run does not run its attacks
    exported = temper("export", "runs/mine", "--pick", "all", "--format", "yaml", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    assert "mi_fgsm:attack" in exported.stdout
    assert temper("report", "runs/mine", cwd=tmp_path).returncode == 0
