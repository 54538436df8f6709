"""Every kind of network is pruned, or its layers are left with a reason; what is pruned trains, loads and is a base."""

import copy

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.support.kind_networks import CLASSES
from tests.support.kinds import KINDS
from trainables.checkpoints.tensors import pack_model
from trainables.compression.config import ChannelPruning, Scope
from trainables.compression.pruning import ChannelPruner
from trainables.models.build import first_output
from trainables.models.weights import load_compressed
from trainables.pruning.analysis import analyse

X = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(8).remainder(CLASSES)
every = pytest.mark.parametrize("kind", KINDS)
PRUNINGS = [
    ChannelPruning(pruning_ratio=0.5, scope="uniform", importance="l2"),
    ChannelPruning(pruning_ratio=0.6, importance="taylor", steps=2),
    ChannelPruning(pruning_ratio=0.8, importance="random"),
    ChannelPruning(mac_ratio=0.5, scope="uniform"),
]


def fresh(kind: str) -> nn.Module:
    torch.manual_seed(0)
    model = KINDS[kind][0]()
    model.register_forward_hook(first_output)
    return model


def train(model: nn.Module) -> None:
    model.train().zero_grad()
    torch.autograd.backward(cross_entropy(model(X), Y))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.05 * parameter.grad)
    model.zero_grad(set_to_none=True)


def scores(model: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(X)
    return found


def pruned(kind: str, pruning: ChannelPruning) -> nn.Module:
    model, pruner = fresh(kind), ChannelPruner(pruning, seed=1)
    for number in range(1, pruning.steps + 1):
        pruner.step(number, model, X, Y)
        train(model)
    return model


def test_there_are_networks_of_every_kind() -> None:
    assert len(KINDS) == 19


@every
def test_each_layer_is_pruned_or_left_with_its_reason(kind: str) -> None:
    model = fresh(kind).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = analyse(model, X[:1])
    assert {one.layer: one.reason for one in found.left_alone} == KINDS[kind][1]
    assert all(module.training for module in model.modules())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@every
@pytest.mark.parametrize("pruning", PRUNINGS, ids=ChannelPruning.words)
def test_what_is_pruned_trains_loads_to_equal_scores_and_serves_as_base(kind: str, pruning: ChannelPruning) -> None:
    model = pruned(kind, pruning)
    if analyse(fresh(kind), X[:1]).groups:
        whole = sum(parameter.numel() for parameter in fresh(kind).parameters())
        assert sum(parameter.numel() for parameter in model.parameters()) < whole
    again = load_compressed(fresh(kind), load(pack_model(model)))
    assert torch.equal(scores(again), scores(model))
    assert [one.requires_grad for one in again.parameters()] == [one.requires_grad for one in model.parameters()]
    train(again)
    ChannelPruner(ChannelPruning(pruning_ratio=0.3), seed=0).step(1, again, X, Y)
    train(again)
    assert torch.equal(scores(load_compressed(fresh(kind), load(pack_model(again)))), scores(again))


def test_shared_and_frozen_weights_stay_so() -> None:
    model = pruned("shared", PRUNINGS[0])
    for one in (model, load_compressed(fresh("shared"), load(pack_model(model)))):
        assert one.get_submodule("one").weight is one.get_submodule("two").weight
        assert one.get_parameter("one.weight").shape == (8, 8, 3, 3)
        assert not one.get_parameter("frozen.weight").requires_grad
        assert one.get_parameter("first.weight").requires_grad


def test_attention_loses_whole_heads_where_its_code_keeps_their_number() -> None:
    model = pruned("own attention", PRUNINGS[0])
    assert model.heads == 2
    assert model.get_parameter("qkv.weight").shape == (3 * 2 * 8, 16)
    again = load_compressed(fresh("own attention"), load(pack_model(model)))
    assert again.heads == 2
    assert copy.deepcopy(again).heads == 2


def test_pytorchs_attention_keeps_its_heads_and_loses_width_in_each() -> None:
    attention = pruned("transformer", PRUNINGS[0]).get_submodule("layer.self_attn")
    assert isinstance(attention, nn.MultiheadAttention)
    assert (attention.embed_dim, attention.num_heads, attention.head_dim) == (16, 4, 4)
    assert attention.get_parameter("in_proj_weight").shape == (48, 16)


def test_an_architecture_is_tried_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = analyse(fresh("rigid attention"), X[:1])
    monkeypatch.setattr("trainables.pruning.trials.TRIALS", 0)
    assert analyse(fresh("rigid attention"), X[:1]).left_alone == first.left_alone
    wider = nn.Sequential(nn.Flatten(), nn.Linear(64, 21), nn.Linear(21, CLASSES))
    reasons = [one.reason for one in analyse(wider, X[:1]).left_alone]
    assert reasons == ["too many others had to be tried", "it makes the scores"]


def test_a_layer_of_complex_numbers_is_said_to_be_one() -> None:
    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.head = nn.Linear(64, 12, dtype=torch.cfloat), nn.Linear(12, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return torch.as_tensor(self.head(self.inner(x.flatten(1).to(torch.cfloat)).abs()))

    told = {one.layer: one.reason for one in analyse(Waves(), X[:1]).left_alone}
    assert told["inner"] == "it computes with complex numbers"


def test_two_matrices_of_one_module_are_two_groups() -> None:
    class Matrices(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Parameter(torch.randn(64, 20)), nn.Parameter(torch.randn(20, 18))
            self.head = nn.Linear(18, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.head((x.flatten(1) @ self.one).relu() @ self.two)
            return scores

    assert {name: group.units for name, group in analyse(Matrices(), X[:1]).groups.items()} == {"one": 20, "two": 18}


@pytest.mark.parametrize("scope", ["global", "uniform"])
def test_every_one_of_several_layers_that_are_concatenated_keeps_a_channel(scope: Scope) -> None:
    class Concatenated(nn.Module):
        """Two layers, one of them with small weights, whose outputs go on together."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Conv2d(1, 4, 3), nn.Conv2d(1, 12, 3)
            self.both, self.head = nn.Conv2d(16, 32, 3, groups=16), nn.Linear(32, CLASSES)
            with torch.no_grad():
                self.one.weight.mul_(1e-3)
                self.both.weight[:8].mul_(1e-3)

        def forward(self, x: Tensor) -> Tensor:
            both: Tensor = self.both(torch.cat([self.one(x), self.other(x)], 1))
            scores: Tensor = self.head(both.relu().mean((2, 3)))
            return scores

    torch.manual_seed(0)
    model = Concatenated()
    ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope=scope, importance="l1"), seed=0).step(1, model, X, Y)
    assert (model.one.out_channels, model.other.out_channels, model.both.out_channels) == (1, 8, 18)
    assert scores(model).isfinite().all()
