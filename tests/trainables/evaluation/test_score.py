"""Scores of a network: a score that is no number counts as wrong, and the network is left as it was."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trainables.attacks.pgd import PgdAttack
from trainables.attacks.scoring_attack import ScoringAttack
from trainables.compute.flops import PassCost, measure
from trainables.compute.ledger import Ledger
from trainables.evaluation.config import ScoringKind, ScoringProtocol
from trainables.evaluation.score import Score, Scorer, evaluate


class NotANumber(nn.Module):
    """Gives NaN for bright images, as they are or once they are attacked, and the first class for all others."""

    def __init__(self, limit: float) -> None:
        super().__init__()
        self.norm, self.limit = nn.BatchNorm2d(1), limit

    def forward(self, x: Tensor) -> Tensor:
        bright = x.amax((1, 2, 3)) > self.limit
        scores = torch.stack([2 - x.mean((1, 2, 3)), x.mean((1, 2, 3))], 1)
        return torch.where(bright[:, None], torch.nan, scores)


def scored(model: nn.Module, images: Tensor, keep: int = 0) -> Score:
    attack = PgdAttack(epsilon=0.1, steps=1, step_size=0.1) if keep else PgdAttack(epsilon=0.1, steps=3, step_size=0.1)
    labels, cost = torch.zeros(len(images), dtype=torch.long), measure(model, images[:1])
    return evaluate(model, images, labels, attack, batch_size=4, cost=cost, ledger=Ledger(), keep=keep)


def test_scores_that_are_no_numbers_are_wrong() -> None:
    images = torch.cat([torch.full((5, 1, 2, 2), 0.9), torch.full((3, 1, 2, 2), 0.75), torch.full((2, 1, 2, 2), 0.2)])
    found = scored(NotANumber(0.8), images)
    assert found.clean.tolist() == [False] * 5 + [True] * 5
    assert found.robust.tolist() == [False] * 8 + [True] * 2  # the attack makes three of them bright
    assert found.robust_standard_error == pytest.approx((0.2 * 0.8 / 10) ** 0.5)  # of all images, as is the accuracy


def test_progress_is_scored_by_fewer_steps_on_fewer_images_and_both_are_charged() -> None:
    model, images, labels = NotANumber(2.0), torch.full((8, 1, 2, 2), 0.5), torch.tensor([0, 1, 0, 0, 0, 1, 0, 0])
    protocol = ScoringProtocol(
        epsilon=0.1, attack="pgd", steps=4, examples=6, progress_steps=2, progress_examples=3, batch_size=4
    )
    scorer, cost = Scorer(protocol, images, labels), PassCost(1, 100, 0, 0)
    assert scorer.chance_accuracy == pytest.approx(4 / 6)
    for score, count, right, steps in ((scorer.progress, 3, 2, 2), (scorer.full, 6, 4, 4)):
        ledger = Ledger()
        found = score(model, cost, ledger)
        assert (len(found.clean), int(found.clean.sum()), found.gradients) == (count, right, right * steps)
        assert ledger.as_dict() == {**Ledger().as_dict(), "validation": count + right + 100 * right * steps}
        assert (found.kept is None) == (score == scorer.progress)


@pytest.mark.parametrize(("kind", "attack"), [("two_losses", ScoringAttack), ("pgd", PgdAttack)])
def test_networks_are_attacked_as_the_protocol_says(kind: ScoringKind, attack: type) -> None:
    protocol = ScoringProtocol(norm="l2", epsilon=0.25, attack=kind, steps=7)
    made = Scorer(protocol, torch.zeros(1, 1, 2, 2), torch.zeros(1))._attack(7)
    assert made == attack(norm="l2", epsilon=0.25, steps=7)


def test_a_score_is_a_function_of_the_weights_whatever_was_drawn_before() -> None:
    found = []
    for seed in range(2):
        torch.manual_seed(seed)
        found.append(scored(NotANumber(2.0), torch.full((4, 1, 2, 2), 0.5), keep=4).kept)
    assert found[0] is not None
    assert found[1] is not None
    assert len(np.unique(found[0].attacked)) > 1  # from a random start, by one step
    assert np.array_equal(found[0].attacked, found[1].attacked)


def test_the_mode_of_each_part_stays() -> None:
    model = NotANumber(2.0)
    model.norm.eval()
    scored(model, torch.rand(4, 1, 2, 2))
    assert model.training
    assert not model.norm.training
