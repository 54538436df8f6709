"""The published study's attack: what it does otherwise, and that only it may."""

from typing import Any

import pytest
import torch
from torch import Generator, nn

from trainables.attacks.adver_fine import AdverFineAttack
from trainables.attacks.attack import perturb
from trainables.attacks.config import PublishedPGD
from trainables.attacks.pgd import PgdAttack
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.errors import TemperError
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe

W = torch.tensor([2.0, -1.0, 0.5, -3.0])
CPU = torch.device("cpu")
DATA = Data(name="digits", train_size=100, validation_size=100)


def linear() -> nn.Module:
    layer = nn.Linear(4, 2, bias=False)
    layer.weight.data = torch.stack([W / 2, -W / 2])
    return nn.Sequential(nn.Flatten(), layer)


def test_it_walks_twice_epsilon_from_the_image_itself_and_out_of_the_range_of_pixels() -> None:
    x = torch.full((3, 1, 2, 2), 0.98)
    y = torch.zeros(3, dtype=torch.long)
    direction = -W.sign().reshape(1, 1, 2, 2)
    for steps in (1, 20):
        adversarial = perturb(AdverFineAttack(epsilon=0.1, steps=steps), linear(), x, y, Generator())
        assert torch.allclose(adversarial - x, (0.1 * direction).expand_as(x), atol=1e-6)
    assert float(adversarial.max()) == pytest.approx(1.08)
    with pytest.raises(TemperError, match="left its bound"):
        perturb(Wider(epsilon=0.1, steps=1), linear(), x, y, Generator())


class Wider(AdverFineAttack):
    """Declares a bound that it does not keep."""

    @property
    def bound(self) -> float:
        return self.epsilon / 20


def test_it_moves_batch_norm_in_training_and_the_sound_attack_does_not() -> None:
    x, y = torch.rand(8, 1, 8, 8), torch.arange(8)
    for attack, moved in ((AdverFineAttack(epsilon=0.1, steps=3), 3), (PgdAttack(epsilon=0.1, steps=3), 0)):
        model = build(Network(name="small"), (1, 8, 8)).train()
        perturb(attack, model, x, y, Generator().manual_seed(0))
        assert int(model.get_buffer("2.num_batches_tracked")) == moved
        assert all(parameter.grad is None for parameter in model.parameters())


def test_what_trains_as_published_is_scored_both_ways_and_pays_for_parameter_gradients() -> None:
    splits = load_splits(DATA)
    schedule = {"epochs": 1, "learning_rate": 0.02}
    plain: dict[str, Any] = {"data": DATA.model_dump(), "model": {"name": "small"}, "schedule": schedule}
    recipe = Recipe.model_validate(plain | {"perturbation": PublishedPGD(epsilon=0.2, steps=2)})
    pipeline = run(recipe, ScoringProtocol(epsilon=0.2, steps=3), splits, CPU)
    assert pipeline.ledger.attack == len(splits.train) * 2 * pipeline.cost.full_with_input
    metrics = pipeline.metrics()
    assert 0 <= metrics["robust_accuracy"] <= 1
    assert 0 <= metrics["robust_accuracy_as_published"] <= metrics["clean_accuracy"]
    other = run(Recipe.model_validate(plain), ScoringProtocol(epsilon=0.2, steps=3), splits, CPU)
    assert "robust_accuracy_as_published" not in other.metrics()
