"""A study whose network is the user's own, by the command as it is installed and from the study's folder."""

from pathlib import Path

import pytest

from tests.support.command import PGD, installed_temper

pytestmark = pytest.mark.slow

NETWORK = """
from own_networks.layers import flat
from torch import nn

def build(*, image_shape, classes):
    channels, height, width = image_shape
    scores = nn.Linear(4 * height * width, classes)
    return nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), flat(), scores)
"""
SETTINGS = [
    "model.name=own_networks.small:build",
    "data.train_size=100",
    "data.validation_size=100",
    "pretraining.epochs=1",
    "budget.trials=0",
    f"baselines=[{{name: b0, perturbation: {PGD}, schedule: {{epochs: 1, learning_rate: 0.05}}}}]",
    "reference=b0",
    "resources.max_concurrent=1",
]


def test_a_search_of_a_users_network_is_resumed_unless_a_file_of_its_package_has_changed(tmp_path: Path) -> None:
    package = tmp_path / "own_networks"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "small.py").write_text(NETWORK)
    (package / "layers.py").write_text("from torch.nn import Flatten as flat\n")
    begun = installed_temper("search", "digits", "--name", "own", settings=SETTINGS, cwd=tmp_path)
    assert begun.returncode == 0, begun.stdout + begun.stderr
    again = installed_temper("resume", "runs/own", cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "2 recipes have ended before, 0 continue" in again.stdout
    (package / "layers.py").write_text("from torch.nn import Flatten as flat  # changed\n")
    refused = installed_temper("resume", "runs/own", cwd=tmp_path)
    assert refused.returncode == 2
    assert "changed since it began: module own_networks/layers.py; --force goes on all the same" in refused.stderr
