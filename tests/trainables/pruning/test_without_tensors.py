"""Functions that hold no tensor with an entry for each channel do not keep the channels beside them from going."""

import copy

import pytest
import torch
from torch import Tensor, nn

from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.models.weights import load_compressed
from trainables.pruning.analysis import analyse

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(4)
UNIFORM = ChannelPruning(pruning_ratio=0.5, scope="uniform")


def around(between: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    last = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(20, 10)
    return nn.Sequential(nn.Conv2d(3, 16, 3), between, nn.Conv2d(16, 20, 3), *last)


def scores(model: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(X)
    return found


def test_one_slope_for_all_channels_stays_and_the_channels_beside_it_go() -> None:
    model = around(nn.PReLU())
    units = {"0": torch.tensor([1, 4, 15]), "2": torch.tensor([0, 19])}
    whole = copy.deepcopy(model)
    with torch.no_grad():  # a channel that nobody reads is a channel that is not there
        whole.get_parameter("2.weight")[:, units["0"]] = 0
        whole.get_parameter("5.weight")[:, units["2"]] = 0
    found = analyse(model, X[:1])
    assert found.problem(model, units, X[:1]) is None
    found.remove(model, units)
    assert [len(model.get_parameter(f"{layer}.weight")) for layer in (0, 1, 2)] == [13, 1, 18]
    assert torch.allclose(scores(model), scores(whole), atol=1e-6)


@pytest.mark.parametrize("slopes", [1, 16])
def test_slopes_stand_a_single_channel_that_is_left(slopes: int) -> None:
    model, pruner = around(nn.PReLU(slopes)), ChannelPruner(ChannelPruning(pruning_ratio=0.93, scope="uniform"), seed=0)
    pruner.step(1, model, X, Y)
    assert pruner.left_as_is() == {}
    assert [len(model.get_parameter(f"{layer}.weight")) for layer in (0, 1, 2)] == [1, 1, 1]
    assert torch.equal(scores(load_compressed(around(nn.PReLU(slopes)), model.state_dict())), scores(model))


def test_one_slope_may_stand_where_channels_are_not_the_second_dimension() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.slope, self.mix = nn.Conv2d(3, 16, 2, 2), nn.PReLU(), nn.Linear(16, 12)
            self.head = nn.Linear(12, 10)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.mix(self.slope(self.patches(x).flatten(2).mT)).relu().mean(1))
            return found

    torch.manual_seed(0)
    model = Tokens()
    ChannelPruner(UNIFORM, seed=0).step(1, model, X, Y)
    assert (model.patches.out_channels, model.mix.out_features) == (8, 6)


@pytest.mark.parametrize("groups", [1, 4])
def test_group_normalization_without_gain_is_pruned_as_one_with_gains_of_one(groups: int) -> None:
    models = [around(nn.GroupNorm(groups, 16, affine=affine)) for affine in (False, True)]
    one, other = (
        {name: (group.units, group.parts) for name, group in analyse(m, X[:1]).groups.items()} for m in models
    )
    assert one == other == {"2": (20, 1), "0": (16, groups)}
    for model in models:
        found = analyse(model, X[:1])
        units = {"0": found.groups["0"].in_all_parts(torch.tensor([1]))}
        assert found.problem(model, units, X[:1]) is None
        found.remove(model, units)
        assert model[0].out_channels == 16 - groups
    assert torch.allclose(scores(models[0]), scores(models[1]), atol=1e-6)


@pytest.mark.parametrize("between", [nn.PReLU(), nn.GroupNorm(4, 16, affine=False), nn.InstanceNorm2d(16)])
def test_what_holds_no_tensor_of_channels_is_pruned_around_and_loaded(between: nn.Module) -> None:
    model, pruner = around(copy.deepcopy(between)), ChannelPruner(UNIFORM, seed=0)
    pruner.step(1, model, X, Y)
    assert pruner.left_as_is() == {}
    assert [len(model.get_parameter(f"{layer}.weight")) for layer in (0, 2)] == [8, 10]
    again = load_compressed(around(copy.deepcopy(between)), model.state_dict())
    assert torch.equal(scores(again), scores(model))


def test_group_normalization_in_training_alone_keeps_its_groups_equal() -> None:
    class Auxiliary(nn.Module):
        """An auxiliary head that normalizes in groups, which runs in training only."""

        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 20, 3), nn.Linear(20, 10)
            self.norm, self.extra = nn.GroupNorm(8, 16, affine=False), nn.Linear(16, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.first(x)
            found: Tensor = self.head(self.second(x.relu()).relu().mean((2, 3)))
            return (found, self.extra(self.norm(x).mean((2, 3)))) if self.training else found  # type: ignore[return-value]

    torch.manual_seed(0)
    model = Auxiliary()
    assert {name: group.parts for name, group in analyse(model, X[:1]).groups.items()} == {"second": 1, "first": 8}
    ChannelPruner(UNIFORM, seed=0).step(1, model, X, Y)
    assert model.first.out_channels == 8
    assert model.train()(X)[1].shape == (4, 10)
