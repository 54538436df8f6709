"""The file that a quantized network is deployed as, attacked beside its surrogate; the lower number counts."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.support.linear_network import Known, known
from trainables.assessment.attack_record import AttackRecord
from trainables.assessment.deployed import REPLAY, evaluate_deployed
from trainables.assessment.evaluate_model import Evaluation, evaluate_model
from trainables.assessment.recording import record_of
from trainables.evaluation.config import ThreatModel

LINF = ThreatModel(epsilon=0.05)


class Rounded(nn.Module):
    """Scores in whole steps: its gradient is zero everywhere, as that of a rounding without a surrogate."""

    def __init__(self, inner: nn.Module, step: float) -> None:
        super().__init__()
        self.inner, self.step = inner, step

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.inner(x)
        return (scores / self.step).round() * self.step


@pytest.fixture(scope="module")
def given() -> Known:
    return known("linf", images=120)


@pytest.fixture(scope="module")
def found(given: Known) -> Evaluation:
    return evaluate_model(given.model, given.images, given.labels, LINF, attack="quick")


def test_what_breaks_the_surrogate_breaks_a_file_that_computes_the_same(given: Known, found: Evaluation) -> None:
    made = evaluate_deployed(
        given.model, given.images, given.labels, LINF, adversarial=found.adversarial, parent=None, attack="quick"
    )
    assert made.clean.tolist() == found.clean.tolist()
    assert made.robust.tolist() == found.robust.tolist()
    assert (made.turns[0].name, made.turns[0].broken) == (REPLAY, int((found.clean & ~found.robust).sum()))
    assert [turn.name for turn in made.turns] == [REPLAY, "Square"]


def test_examples_of_the_parent_break_a_file_whose_surrogate_hid_its_gradients(given: Known) -> None:
    """Rounded so finely that labels stay as they are: what lies within epsilon of another class must fall."""
    file = Rounded(given.model, 1e-3)
    must_fall = (given.distances < 0.95 * LINF.epsilon).numpy()
    assert must_fall.sum() > 20
    arguments = (file, given.images, given.labels, LINF)
    alone = evaluate_deployed(*arguments, adversarial=given.images, parent=None, attack="quick")
    beside = evaluate_deployed(*arguments, adversarial=given.images, parent=given.model, attack="quick")
    assert not beside.robust[must_fall].any()
    assert beside.turns[0].broken == 0
    assert beside.turns[1].name == "transfer"
    assert beside.robust.sum() <= alone.robust.sum()
    may_stand = (given.distances > 1.05 * LINF.epsilon).numpy()
    assert beside.robust[may_stand].all()


def test_what_the_file_labels_wrong_is_neither_clean_nor_robust(given: Known, found: Evaluation) -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.eye(5)[torch.zeros(len(x), dtype=torch.long)]

    made = evaluate_deployed(
        Constant(), given.images, given.labels, LINF, adversarial=found.adversarial, parent=given.model, attack="quick"
    )
    first = (given.labels == 0).numpy()
    assert made.clean.tolist() == made.robust.tolist() == first.tolist()
    assert made.robust_accuracy == pytest.approx(first.mean())


def test_the_lower_number_counts_and_both_are_kept(given: Known, found: Evaluation) -> None:
    made = evaluate_deployed(
        Rounded(given.model, 1.0), given.images, given.labels, LINF,
        adversarial=found.adversarial, parent=given.model, attack="quick",
    )  # fmt: skip
    record = record_of(found, given.images, given.labels, made)
    again = AttackRecord.of_json(record.as_json())
    assert again.deployed is not None
    assert again.deployed.tolist() == made.robust.tolist()
    assert again.robust.tolist() == found.robust.tolist()
    assert again.counted.sum() == min(made.robust.sum(), found.robust.sum())
    assert [turn[0] for turn in again.turns][-3:] == ["file: replay", "file: transfer", "file: Square"]
    worse = AttackRecord("0", found.clean, found.clean, found.robust, (), (), np.ones_like(found.robust))
    assert worse.counted.tolist() == found.robust.tolist()
    assert AttackRecord("0", found.clean, found.clean, found.robust, (), ()).counted.tolist() == found.robust.tolist()
