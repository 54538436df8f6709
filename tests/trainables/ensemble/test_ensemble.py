"""Attacks in turn: the worst case of each image counts, none is attacked twice, and what attacks claim is checked."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest
import torch
from torch import Generator, Tensor, nn

from tests.support.linear_network import Known, known
from trainables.attacks.config import Norm
from trainables.attacks.pgd import PgdAttack
from trainables.ensemble.ensemble import BLACK_BOX, ENSEMBLES, MISTAKEN, STANDS, Progress, Turn, run_turns
from trainables.ensemble.self_test import check_attacks
from trainables.errors import TemperError
from trainables.evaluation.config import Strength, ThreatModel

RADIUS: Mapping[Norm, float] = {"linf": 0.02, "l2": 0.1}
CPU = torch.device("cpu")


@dataclass(frozen=True, kw_only=True)
class Towards:
    """Moves every image by the same amount, and by no more than it claims."""

    epsilon: float
    norm: Norm
    percent: int
    passes: int = 0
    bound: float = 1.0
    sound: bool = True

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return x + self.percent / 100


class Brightness(nn.Module):
    """Labels an image 1 where its mean is above a half."""

    def forward(self, x: Tensor) -> Tensor:
        above = x.flatten(1).mean(1) - 0.5
        return torch.stack([-above, above], 1)


def turns(*percent: int) -> tuple[Turn, ...]:
    return tuple(Turn(f"+{one}%", Towards, {"percent": one}) for one in percent)


def test_what_broke_each_image_is_known_and_is_attacked_no_more() -> None:
    levels = [0.6, 0.46, 0.43, 0.38, 0.2]
    images = torch.tensor(levels).reshape(-1, 1, 1, 1).expand(-1, 1, 2, 2)
    told: list[Progress] = []
    attacked = run_turns(
        Brightness(),
        images,
        torch.zeros(5, dtype=torch.long),
        ThreatModel(epsilon=0.2),
        turns(5, 10, 15),
        batch_size=2,
        progress=told.append,
    )
    assert attacked.broken_by.tolist() == [MISTAKEN, 1, 2, 3, STANDS]
    assert attacked.clean.tolist() == [False, True, True, True, True]
    assert attacked.stands.tolist() == [False, False, False, False, True]
    assert [(turn.given, turn.broken) for turn in attacked.turns] == [(4, 1), (3, 1), (2, 1)]
    moved = attacked.adversarial[:, 0, 0, 0].tolist()
    assert moved == pytest.approx([0.6, 0.51, 0.53, 0.53, 0.2])
    assert [(one.turn, one.done, one.standing) for one in told] == [
        *[("+5%", done, 4) for done in (0, 2, 4)],
        *[("+10%", done, 3) for done in (0, 2, 3)],
        *[("+15%", done, 2) for done in (0, 2)],
    ]


def test_an_attack_that_leaves_its_ball_is_an_error() -> None:
    images = torch.full((2, 1, 2, 2), 0.3)
    leaving = Turn("far", lambda **given: Towards(bound=0.1, **given), {"percent": 30})
    with pytest.raises(TemperError, match="left its bound"):
        run_turns(Brightness(), images, torch.zeros(2, dtype=torch.long), ThreatModel(epsilon=0.1), [leaving])


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("strength", ENSEMBLES)
def test_on_a_linear_network_what_stands_is_what_must(strength: Strength, norm: Norm) -> None:
    given = known(norm, classes=6, images=150, seed=3)
    radius = RADIUS[norm]
    threat_model = ThreatModel(norm=norm, epsilon=radius)
    attacked = run_turns(given.model, given.images, given.labels, threat_model, ENSEMBLES[strength][:4])
    sure = (given.distances / radius - 1).abs() > 0.03
    assert torch.from_numpy(attacked.stands)[sure].tolist() == (given.distances > radius)[sure].tolist()
    assert 10 < int(attacked.stands.sum()) < 140


def test_the_same_seed_gives_the_same_answers_and_leaves_the_network_as_it_was() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10))
    images = torch.rand(12, 1, 8, 8)
    labels = model.eval()(images).argmax(1)
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    threat_model = ThreatModel(epsilon=0.02)
    first, second = (
        run_turns(model, images, labels, threat_model, ENSEMBLES["standard"][:4], batch_size=8) for _ in range(2)
    )
    assert first.broken_by.tolist() == second.broken_by.tolist()
    assert torch.equal(first.adversarial, second.adversarial)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("strength", ["quick", "standard"])
def test_the_self_test_lets_the_ensembles_pass(strength: Strength, norm: Norm) -> None:
    check_attacks(ENSEMBLES[strength], ThreatModel(norm=norm, epsilon=0.1), CPU)
    check_attacks(BLACK_BOX[strength], ThreatModel(norm=norm, epsilon=0.1), CPU)


@pytest.mark.parametrize(
    ("name", "turn"),
    [
        ("does nothing", Turn("none", Towards, {"percent": 0})),
        ("too few steps", Turn("PGD-1", PgdAttack, {"steps": 1})),
    ],
)
def test_the_self_test_stops_a_broken_attack(name: str, turn: Turn) -> None:
    with pytest.raises(TemperError, match=r"self-test of the attacks.* images stand, \d+ must"):
        check_attacks((turn,), ThreatModel(epsilon=0.1), CPU)


def test_the_self_test_stops_an_attack_that_claims_a_smaller_epsilon() -> None:
    double = Turn("double", lambda **given: _Double(**given), {"steps": 40})
    with pytest.raises(TemperError, match="self-test"):
        check_attacks((double, *ENSEMBLES["quick"]), ThreatModel(epsilon=0.1), CPU)


@dataclass(frozen=True, kw_only=True)
class _Double(PgdAttack):
    """PGD in twice the ball that it was asked for."""

    @property
    def bound(self) -> float:
        return 2 * self.epsilon

    def __call__(self, model: nn.Module, x: Tensor, target: Tensor, generator: Generator) -> Tensor:
        return PgdAttack(epsilon=self.bound, steps=self.steps, norm=self.norm)(model, x, target, generator)


def test_known_distances_are_those_of_the_self_test() -> None:
    from trainables.ensemble.self_test import exact_distances

    for norm in RADIUS:
        given: Known = known(norm)
        distances = exact_distances(given.model.weights.detach(), given.images, given.labels, norm)
        assert torch.allclose(distances, given.distances, rtol=1e-4)
