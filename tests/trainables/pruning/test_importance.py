"""Values of units, against torch-pruning, whose formulas they follow."""

from typing import Any

import pytest
import torch
import torch_pruning
from torch import nn
from torch.nn.functional import cross_entropy

from trainables.models.build import build
from trainables.models.config import Network
from trainables.pruning.analysis import analyse
from trainables.pruning.importance import Importance, unit_scores

X = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(0))
THEIRS: dict[Importance, Any] = {
    "l1": torch_pruning.importance.GroupMagnitudeImportance(p=1),
    "l2": torch_pruning.importance.GroupMagnitudeImportance(p=2),
    "taylor": torch_pruning.importance.GroupTaylorImportance(),
    "random": torch_pruning.importance.RandomImportance(),
}


@pytest.mark.parametrize("name", ["resnet18", "torchvision:mobilenet_v2"])
@pytest.mark.parametrize("importance", THEIRS)
def test_groups_and_values_are_those_of_torch_pruning(name: str, importance: Importance) -> None:
    torch.manual_seed(0)
    model = build(Network(name=name), X.shape[1:])
    torch.autograd.backward(cross_entropy(model.eval()(X), torch.arange(8)))
    names = {module: key for key, module in model.named_modules()}
    graph = torch_pruning.DependencyGraph().build_dependency(model, X[:1])
    last = [module for module in model.modules() if isinstance(module, nn.Linear)][-1]
    torch.manual_seed(1)
    theirs = {
        names[group[0].dep.target.module]: THEIRS[importance](group)
        for group in graph.get_all_groups(ignored_layers=[last])
    }
    torch.manual_seed(1)
    ours = {key: unit_scores(group, importance) for key, group in analyse(model, X[:1]).groups.items()}
    assert list(ours) == list(theirs)
    for key, values in theirs.items():
        found = ours[key]
        assert found is not None
        assert torch.allclose(found, values.cpu(), rtol=1e-4), key


def test_a_group_that_is_worth_nothing_has_values_of_nothing() -> None:
    """Divided by their mean they would be NaN, which no ranking takes for small."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3), nn.Flatten(), nn.Linear(5 * 28 * 28, 10))
    groups = analyse(model, X[:1]).groups
    for layer in model:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
    for importance in ("l1", "taylor"):
        scores = [unit_scores(group, importance) for group in groups.values()]
        assert scores
        assert all(one is not None and bool((one == 0).all()) for one in scores)
