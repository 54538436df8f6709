"""The call that says how robust a network is: image by image, and what it refuses."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from tests.support.checkout import ROOT
from tests.support.linear_network import known
from trainables.assessment.evaluate_model import evaluate_model
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel

LINF = ThreatModel(epsilon=0.02)


def test_results_are_given_for_each_image() -> None:
    given = known("linf", images=60)
    labels = given.labels.clone()
    labels[:6] = (labels[:6] + 1) % 5  # mistakes
    found = evaluate_model(given.model, given.images, labels, LINF)
    assert found.clean.tolist() == [False] * 6 + [True] * 54
    assert found.clean_accuracy == 0.9
    assert found.broken_by[:6] == ("clean",) * 6
    assert [name is None for name in found.broken_by] == found.robust.tolist()
    assert set(found.broken_by) <= {"clean", None, *(turn.name for turn in found.turns)}
    assert found.scored is not None
    assert found.scored_accuracy is not None
    assert bool((found.robust <= found.scored).all())
    assert bool((found.scored <= found.clean).all())
    assert 0 < found.robust_accuracy <= found.scored_accuracy < 0.9
    assert sum(turn.broken for turn in found.turns) == int(found.clean.sum() - found.robust.sum())


def test_the_same_seed_gives_the_same_result() -> None:
    given = known("linf", images=40)
    first, second = (evaluate_model(given.model, given.images, given.labels, LINF, attack="quick") for _ in range(2))
    assert first.broken_by == second.broken_by


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"images": torch.rand(4, 16)}, r"images: got torch.float32 of shape \(4, 16\), expected"),
        ({"images": torch.zeros(4, 1, 4, 4, dtype=torch.uint8)}, r"images: got torch.uint8"),
        ({"images": torch.full((4, 1, 4, 4), 2.0)}, r"got pixels from 2 to 2, expected them in \[0, 1\]"),
        ({"images": torch.full((4, 1, 4, 4), torch.nan)}, r"got pixels from nan"),
        ({"labels": torch.zeros(3, dtype=torch.long)}, r"labels: got torch.int64 of shape \(3,\)"),
        ({"labels": torch.zeros(4)}, r"labels: got torch.float32"),
        ({"labels": torch.tensor([0, 1, 2, 5])}, r"labels: got 0 to 5, the model scores 5 classes"),
        ({"labels": torch.tensor([0, 1, 2, -1])}, r"labels: got -1 to 2"),
        ({"images": torch.rand(0, 1, 4, 4), "labels": torch.zeros(0, dtype=torch.long)}, r"n ≥ 1"),
        ({"model": nn.Flatten(0)}, r"model: gave \(32,\), expected scores of shape"),
        ({"model": nn.Sequential(nn.Flatten(), nn.Linear(16, 1))}, r"gave \(2, 1\), expected scores"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(changed: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {
        "model": known("linf", images=1).model,
        "images": torch.rand(4, 1, 4, 4),
        "labels": torch.tensor([0, 1, 2, 3]),
    } | changed
    with pytest.raises(InvalidInput, match=words):
        evaluate_model(given["model"], given["images"], given["labels"], LINF)


def test_the_package_hands_it_on_without_importing_torch_before_it_is_asked_for() -> None:
    code = (
        "import sys, trainables; assert 'torch' not in sys.modules; assert 'evaluate_model' in trainables.__all__\n"
        "from trainables import ThreatModel; assert 'torch' not in sys.modules\n"
        "from trainables import evaluate_model, Evaluation; print(evaluate_model.__module__)\n"
        "try: trainables.evaluate_modle\nexcept AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == [
        "trainables.assessment.evaluate_model",
        "module 'trainables' has no attribute 'evaluate_modle'",
    ]
