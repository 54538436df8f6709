"""The chance level, networks that learnt nothing, doubts of an attack, and networks that give probabilities."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.attacks.pgd import PgdAttack
from trainables.compute.flops import PassCost
from trainables.compute.ledger import Ledger
from trainables.evaluation.chance import at_chance, chance_error, chance_limit, learnt_nothing
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.probabilities import looks_like_probabilities
from trainables.evaluation.remarks import gradient_doubts, remarks
from trainables.evaluation.score import Score, Scorer, evaluate

LEVEL = {"chance_accuracy": 0.2, "chance_accuracy_stderr": 0.04, "answers_one_class": 0}  # of 100 images
GOOD = {**LEVEL, "clean_accuracy": 0.9, "robust_accuracy": 0.5}


def test_the_chance_level_is_the_largest_classs_share_of_the_images_that_are_scored() -> None:
    labels = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    whole, cut = ScoringProtocol(epsilon=0.1), ScoringProtocol(epsilon=0.1, examples=4)
    images = torch.zeros(10, 1, 2, 2)
    assert Scorer(whole, images, labels).chance_accuracy == 0.6
    assert Scorer(cut, images, labels).chance_accuracy == 0.75
    assert chance_error(0.2, 100) == pytest.approx(0.04)
    assert chance_limit(LEVEL) == pytest.approx(0.28)


@pytest.mark.parametrize(
    ("changed", "learnt", "above"),
    [
        ({}, True, True),
        ({"clean_accuracy": 0.28}, False, False),
        ({"clean_accuracy": 0.2801, "robust_accuracy": 0.2801}, True, True),
        ({"robust_accuracy": 0.28}, True, False),
        ({"answers_one_class": 1}, False, False),
    ],
)
def test_a_network_must_be_two_standard_errors_above_chance(
    changed: dict[str, float], learnt: bool, above: bool
) -> None:
    metrics = GOOD | changed
    assert (learnt_nothing(metrics) is None) == learnt
    assert (at_chance(metrics) is None) == above


def test_the_reasons_name_numbers() -> None:
    assert learnt_nothing(GOOD | {"clean_accuracy": 0.21}) == (
        "its clean accuracy of 0.210 is not 2 standard errors above the chance level of 0.200 ± 0.040"
    )
    assert (at_chance(GOOD | {"robust_accuracy": 0.0}) or "").startswith("its robust accuracy of 0.000 is not 2 stand")
    assert learnt_nothing(GOOD | {"answers_one_class": 1}) == "it answers one class for every image"


def test_nothing_is_said_of_networks_whose_chance_level_was_not_measured() -> None:
    older = {"clean_accuracy": 0.1, "robust_accuracy": 0.0}
    assert (chance_limit(older), learnt_nothing(older), at_chance(older), gradient_doubts(older)) == (None,) * 4


class Answers(nn.Module):
    """Says class 0 of an image whose first pixel is below 0.5, else class 1."""

    def forward(self, x: Tensor) -> Tensor:
        first = x.flatten(1)[:, :1]
        return torch.cat([0.5 - first, first - 0.5], dim=1)


@pytest.mark.parametrize("classes", [1, 2])
def test_one_answer_for_every_image_is_noticed_over_all_batches(classes: int) -> None:
    x = torch.full((7, 1, 2, 2), 0.1)
    x[6] = 0.9 if classes == 2 else 0.2
    cost, attack = PassCost(1, 1, 1, 1), PgdAttack(epsilon=0.01, steps=1)
    labels = torch.zeros(7, dtype=torch.long)
    score = evaluate(Answers(), x, labels, attack, batch_size=2, cost=cost, ledger=Ledger())
    assert score.answers_one_class == (classes == 1)


def test_a_score_without_gradients_has_no_zero_ones() -> None:
    nothing = Score(np.zeros(3, np.bool_), np.zeros(3, np.bool_))
    assert (nothing.gradients, nothing.zero_gradient_share) == (0, 0.0)


def test_zero_and_infinite_gradients_make_a_robust_accuracy_doubtful() -> None:
    assert gradient_doubts({"zero_gradient_share": 0.01, "nonfinite_gradients": 0}) is None
    assert gradient_doubts({"zero_gradient_share": 0.25, "nonfinite_gradients": 3}) == (
        "25.0% of the attack's gradients are zero, so it could not move those images; "
        "3 of the attack's gradients are not finite: its robust accuracy may be too high"
    )


def test_remarks_are_all_that_is_wrong() -> None:
    assert remarks(GOOD) == []
    assert remarks(GOOD | {"robust_accuracy": 0.0}) == []  # as of an undefended base
    wrong = remarks(GOOD | {"answers_one_class": 1, "zero_gradient_share": 1.0})
    assert wrong[0] == "has learnt nothing: it answers one class for every image"
    assert wrong[1].startswith("100.0% of the attack's gradients are zero")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_probabilities_are_recognised(dtype: torch.dtype) -> None:
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)) * 5
    assert looks_like_probabilities(logits.softmax(1).to(dtype))
    assert looks_like_probabilities((300 * logits).softmax(1).to(dtype))
    assert not looks_like_probabilities(logits.to(dtype))


@pytest.mark.parametrize(
    "scores",
    [
        torch.rand(50, 10),
        torch.randn(50, 4).log_softmax(1),
        torch.randn(50, 4).sigmoid(),
        torch.cat([torch.randn(49, 3).softmax(1), torch.randn(1, 3)]),
        torch.full((50, 2), math.nan),
        torch.ones(50, 1),
        torch.zeros(0, 3),
        torch.tensor([[-0.5, 1.5]] * 9),
    ],
)
def test_other_scores_are_not_taken_for_probabilities(scores: Tensor) -> None:
    assert not looks_like_probabilities(scores)
