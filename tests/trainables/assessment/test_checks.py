"""Each check: a network of exactly its defect is marked, by that check; a sound one by none."""

import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from tests.support import defective_networks as defective
from tests.support.linear_network import Known, known
from trainables.assessment.checks import CHECKS, GAP, OF_ANSWERS, Observed, ensemble_gap, outside, reasons
from trainables.assessment.evaluate_model import Evaluation, evaluate_model, outside_of
from trainables.assessment.probes import Answers, Bits, Probes, answers, probe
from trainables.ensemble.ensemble import STANDS, Attacked
from trainables.evaluation.config import ThreatModel

LINF = ThreatModel(epsilon=0.02)


def on_grid() -> Known:
    """A linear network, and images of 32 levels that it labels right."""
    given = known("linf", images=150, classes=4)
    images = (given.images * 32).round() / 32
    with torch.no_grad():
        labels = given.model(images).argmax(1)
    return Known(given.model, images, labels, given.distances)


def assessed(model: nn.Module, given: Known, epsilon: float = 0.02) -> Evaluation:
    torch.manual_seed(0)
    return evaluate_model(model, given.images, given.labels, ThreatModel(epsilon=epsilon), attack="quick")


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (defective.Rounding, r"100\.0% of the attacks' gradients are zero"),
        (defective.Rounding, r"stand in a ball so large that every image can be made grey"),
        (defective.Noisy, r"scores for \d+ images differ from one call to the next"),
        (defective.Mixing, r"scores for 8 of 8 images are others beside other images"),
        (defective.Neighbours, r"scores for 8 of 8 images are others beside other images"),
        (defective.NotANumber, r"scores for \d+ images are not finite"),
        (defective.Softmax, r"it gives probabilities"),
        (defective.Saturated, r"\d+\.\d% of the attacks' gradients are zero"),
        (defective.Moving, r"has changed 3 of its buffers, such as norm\.running_mean"),
        (defective.NotFinite, r"of the attacks' \d+ gradients are not finite"),
        (defective.FlatOnGrid, r"stand after one step, [\d.]+ after several: catastrophic overfitting"),
    ],
)
def test_a_defective_network_is_marked_with_its_defect(network: Callable[[nn.Module], nn.Module], words: str) -> None:
    given = on_grid()
    found = assessed(network(given.model), given, epsilon=0.1 if network is defective.FlatOnGrid else 0.02)
    assert [reason for reason in found.unreliable if re.search(words, reason)], found.unreliable


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (defective.Noisy, [r"scores for 150 images differ from one call to the next by more than 0\.1%"]),
        (defective.Mixing, [r"scores for 8 of 8 images are others beside other images, by more than 0\.1%"]),
        (defective.NotANumber, [r"scores for \d+ images are not finite"]),
    ],
)
def test_answers_are_looked_at_without_gradients_too_and_each_defect_has_its_own_words(
    network: Callable[[nn.Module], nn.Module], words: list[str]
) -> None:
    given = on_grid()
    model = network(given.model)
    found = evaluate_model(model, given.images, given.labels, LINF, attack="quick", white_box=False)
    assert len(found.unreliable) == len(words), found.unreliable
    assert all(re.search(word, reason) for word, reason in zip(words, found.unreliable, strict=True))
    alone = evaluate_model(model, given.images[:1], given.labels[:1], LINF, attack="quick", white_box=False)
    assert not any("beside other images" in reason for reason in alone.unreliable)


@pytest.mark.parametrize("batch_size", [256, 32, 2])
def test_batch_normalization_mixes_only_where_it_takes_the_batchs_own_statistics(batch_size: int) -> None:
    torch.manual_seed(0)
    images = torch.rand(60, 1, 4, 4)
    for tracked in (True, False):
        norm = nn.BatchNorm2d(4, track_running_stats=tracked)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(16, 4))
        model(images)
        found = answers(model, images, batch_size=batch_size)
        compared = min(8, batch_size)
        expected = Answers(unsteady=0, compared=compared, mixed=0 if tracked else compared, not_finite=0)
        assert found == expected


def test_a_gradient_that_points_the_other_way_makes_a_step_better_than_none() -> None:
    given = on_grid()
    labels = torch.where(torch.arange(150) % 3 == 0, given.labels, (given.labels + 1) % 4)
    found = assessed(defective.Reversed(given.model), Known(given.model, given.images, labels, given.distances))
    assert any("one step up the loss makes it right on" in reason for reason in found.unreliable), found.unreliable


def test_what_stands_in_the_wider_ball_and_not_in_the_narrow_one_is_marked() -> None:
    given = on_grid()
    found = assessed(defective.FlatBeyond(given.model), given, epsilon=0.006)
    assert any("more stand at 2 times the epsilon than at epsilon" in reason for reason in found.unreliable)


def test_a_black_box_that_is_stronger_than_gradients_is_marked_and_the_full_ensemble_runs() -> None:
    given = on_grid()
    found = evaluate_model(defective.Rounding(given.model), given.images, given.labels, LINF)
    assert any("attacks without gradients broke" in reason for reason in found.unreliable)
    assert [turn.name for turn in found.turns].count("Square") == 2
    assert found.turns[-1].given < found.turns[0].given


def test_pgd_far_above_the_ensemble_is_marked() -> None:
    given = on_grid()
    found = assessed(defective.FlatAround(given.model), given)
    assert found.robust_accuracy < found.clean_accuracy
    stands = np.arange(150) < 60
    seen = observed(stands=stands, first=np.arange(150) < 60 + int(150 * GAP) + 1)
    assert "PGD leaves" in str(ensemble_gap(seen))
    assert ensemble_gap(observed(stands=stands, first=np.arange(150) < 60 + int(150 * GAP) - 1)) is None


def test_images_outside_the_ball_or_the_box_are_counted() -> None:
    images = torch.full((5, 1, 2, 2), 0.5)
    moved = images.clone()
    moved[1] += 0.0201
    moved[2, 0, 0, 0] = torch.nan
    moved[3] -= 0.02
    assert outside_of(LINF, images, moved) == 2
    high = torch.ones(1, 1, 2, 2)
    assert outside_of(LINF, high, high + 0.01) == 1
    l2 = ThreatModel(norm="l2", epsilon=0.02)
    assert outside_of(l2, images, images + 0.0099) == 0
    assert outside_of(l2, images, images + 0.0101) == 5
    assert outside(observed(outside=2)) == "2 adversarial images lie outside the ball or [0, 1]"
    assert outside(observed()) is None


def test_a_sound_linear_network_is_not_marked() -> None:
    for norm, epsilon in (("linf", 0.02), ("l2", 0.1)):
        given = known(norm, images=150, classes=4)  # type: ignore[arg-type]  # a literal of a loop
        threat_model = ThreatModel.model_validate({"norm": norm, "epsilon": epsilon})
        found = evaluate_model(given.model, given.images, given.labels, threat_model)
        assert found.unreliable == ()
        sure = (given.distances / epsilon - 1).abs() > 0.03
        assert found.robust[sure.numpy()].tolist() == (given.distances > epsilon)[sure].tolist()


def test_every_check_is_listed_once() -> None:
    assert len({*OF_ANSWERS, *CHECKS}) == len(OF_ANSWERS) + len(CHECKS) == 13


def observed(
    *,
    stands: Bits | None = None,
    first: Bits | None = None,
    outside: int = 0,
    single_step: Bits | None = None,
    distorted: Bits | None = None,
) -> Observed:
    """What was seen of a network that is right on 150 images, of which some stand; sound in all else."""
    stands = np.zeros(150, dtype=np.bool_) if stands is None else stands
    first = stands if first is None else first
    broken_by = np.where(stands, STANDS, np.where(first, 2, 1)).astype(np.int8)
    none, right = np.zeros(150, dtype=np.bool_), np.ones(150, dtype=np.bool_)
    probes = Probes(
        clean=right,
        single_step=none if single_step is None else single_step,
        distorted=none if distorted is None else distorted,
        wider=none,
        far=none,
        largest_class=0.25,
        answers=Answers(unsteady=0, compared=8, mixed=0, not_finite=0),
        moved_buffers=(),
        probabilities=False,
    )
    return Observed(Attacked((), broken_by, torch.empty(150, 0)), probes, outside)


def test_one_step_that_falls_short_of_several_is_no_overfitting_unless_it_hides_something() -> None:
    """As in L2, where a sound network stands one step of epsilon and falls to several."""
    every, hidden = np.ones(150, dtype=np.bool_), np.arange(150) < 15
    assert reasons(observed(single_step=every)) == ()
    (reason,) = reasons(observed(single_step=every, distorted=hidden))
    assert reason == "1.000 stand after one step, 0.000 after several: catastrophic overfitting"


class Wave(nn.Module):
    """Right where the mean of an image lies near a crest of a wave of length 0.1, the first of which is at 0.5."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        crest = torch.cos(2 * torch.pi * (x.flatten(1).mean(1) - 0.5) / 0.1)
        return torch.stack([crest, -crest], 1)


def test_a_step_hides_what_is_wrong_on_its_way_or_does_not_move() -> None:
    images = torch.full((8, 1, 4, 4), 0.51)
    labels = torch.zeros(8, dtype=torch.int64)
    for epsilon, distorted in ((0.1, True), (0.01, False)):  # from crest to crest; a part of one
        found = probe(Wave(), images, labels, ThreatModel(epsilon=epsilon), batch_size=8, seed=0)
        assert found.single_step.all()
        assert found.distorted.all() == found.distorted.any() == distorted
    last = nn.Linear(16, 2)
    nn.init.zeros_(last.weight)
    last.bias.data = torch.tensor([1.0, 0.0])
    still = nn.Sequential(nn.Flatten(), last)
    assert probe(still, images, labels, ThreatModel(epsilon=0.1), batch_size=8, seed=0).distorted.all()
