"""A recipe in a few words."""

from typing import Any

import pytest

from analysis.run.summary import summary
from tests.support.run_directories import recipe


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"epochs": 1}, "dense · N-FGSM ε 0.2 · 1 epoch · lr 0.1"),
        ({"epochs": 6}, "dense · N-FGSM ε 0.2 · 6 epochs · lr 0.1"),
        ({"epochs": 1, "last_epoch_steps": 1}, "dense · N-FGSM ε 0.2 · 1 epoch (the last: 1 step) · lr 0.1"),
    ],
)
def test_one_epoch_is_no_epochs(schedule: dict[str, Any], words: str) -> None:
    made = recipe()
    made["schedule"] |= schedule
    assert summary(made) == words
