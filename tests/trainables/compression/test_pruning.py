"""Which channels go, and how many, against what is known of the network beforehand."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from torchvision.models import resnet18

from trainables.compression.config import ChannelPruning, Importance, Scope
from trainables.compression.pruning import ChannelPruner
from trainables.compute.flops import forward_flops
from trainables.models.build import build
from trainables.models.config import Network

X = torch.rand(16, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(16).remainder(10)


OWN = torch.tensor([3.0, 1.0, 1.5, 2.0])  # weights of four channels …
READERS = torch.linspace(-1, 1, 10)[:, None] * torch.tensor([0.0, 1.0, 1.0, 0.0])  # … and of what reads them


def kept_channels(importance: Importance, seed: int = 0) -> list[float]:
    """The weights of the two channels that are left of four; nothing reads the outer two, so they have no gradient."""
    layer, reader = nn.Conv2d(1, 4, 1, bias=False), nn.Linear(4, 10, bias=False)
    layer.weight.data, reader.weight.data = OWN.reshape(4, 1, 1, 1).clone(), READERS.clone()
    model = nn.Sequential(layer, nn.Flatten(), reader)
    generator = torch.get_rng_state()
    pruning = ChannelPruning(pruning_ratio=0.5, importance=importance)
    ChannelPruner(pruning, seed=seed).step(1, model, X[:, :, :1, :1], Y)
    assert torch.equal(torch.get_rng_state(), generator)
    return sorted(layer.weight.flatten().tolist())


def test_small_weights_go_first_by_norm_and_small_gradients_by_taylor() -> None:
    assert kept_channels("taylor") == [1.0, 1.5]
    # A channel is worth the norm of its own weights and of those that read it.
    by_l1 = OWN.abs() + READERS.abs().sum(0)
    by_l2 = OWN.square() + READERS.square().sum(0)
    assert kept_channels("l1") == sorted(OWN[by_l1.argsort()[-2:]].tolist())
    assert kept_channels("l2") == sorted(OWN[by_l2.argsort()[-2:]].tolist())


def test_random_importance_follows_the_seed() -> None:
    kept = [tuple(kept_channels("random", seed)) for seed in range(12)]
    assert len(set(kept)) > 1
    assert kept == [tuple(kept_channels("random", seed)) for seed in range(12)]


@pytest.mark.parametrize("scope", ["global", "uniform"])
@pytest.mark.parametrize("importance", ["l1", "l2", "taylor", "random"])
def test_a_mac_ratio_is_met_from_below(importance: Importance, scope: Scope) -> None:
    torch.manual_seed(0)
    dense = build(Network(name="small"), (1, 8, 8))
    whole = forward_flops(dense, X[:1])
    for wanted in (0.5, 0.1):
        model = copy.deepcopy(dense).train()
        pruning = ChannelPruning(mac_ratio=wanted, importance=importance, scope=scope)
        ChannelPruner(pruning, seed=0).step(1, model, X, Y)
        assert 0.85 * wanted < forward_flops(model, X[:1]) / whole <= wanted
        assert all(module.training for module in model.modules())
        assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
        assert torch.equal(dict(model.named_buffers())["2.num_batches_tracked"], torch.tensor(0))
        assert model(X).shape == (16, 10)


def test_a_mac_ratio_that_no_channels_leave_is_approached_as_far_as_they_do() -> None:
    """Inside groups one that would lose all channels stays whole, so that the largest ratio may remove nothing."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 10)
    )
    pruning = ChannelPruning(mac_ratio=0.001, scope="uniform")
    ChannelPruner(pruning, seed=0).step(1, model, X, Y)
    weights = dict(model.named_parameters())
    assert [len(weights[name]) for name in ("0.weight", "2.weight")] == [1, 1]
    assert model(X).shape == (16, 10)


def test_a_layer_that_would_lose_all_channels_keeps_them_and_is_named() -> None:
    """At .85, 1.2 of 8 stay; at .9, .8 of them would."""
    for ratio, kept, left in ((0.85, 1, {}), (0.9, 8, {"0": "it would lose all of its channels at this ratio"})):
        model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
        pruner = ChannelPruner(ChannelPruning(pruning_ratio=ratio, scope="uniform"), seed=0)
        pruner.step(1, model, X, Y)
        assert len(dict(model.named_parameters())["0.weight"]) == kept
        assert pruner.left_as_is() == left


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_packed_sequences_are_no_reason_to_refuse_a_network(kind: Any) -> None:
    class Packs(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.recurrent, self.scores = nn.Conv2d(1, 6, 3, padding=1), kind(48, 5), nn.Linear(5, 10)

        def forward(self, x: Tensor) -> Tensor:
            rows = self.first(x).permute(2, 0, 1, 3).flatten(2)
            state = self.recurrent(pack_padded_sequence(rows, torch.full((len(x),), 8)))[1]
            scores: Tensor = self.scores((state[0] if isinstance(state, tuple) else state)[-1])
            return scores

    model, pruner = Packs(), ChannelPruner(ChannelPruning(pruning_ratio=0.5), seed=0)
    pruner.step(1, model, X, Y)
    assert model(X).shape == (16, 10)
    assert pruner.left_as_is()["recurrent"] == "the state of a recurrent layer keeps its width"


@pytest.mark.parametrize("importance", ["l1", "taylor"])
def test_torchvisions_resnet_keeps_its_residual_adds(importance: Importance) -> None:
    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    x = torch.rand(2, 3, 32, 32)
    whole = forward_flops(model, x[:1])
    pruning = ChannelPruning(pruning_ratio=0.5, importance=importance, scope="uniform")
    ChannelPruner(pruning, seed=0).step(1, model, x, Y[:2])
    assert forward_flops(model, x[:1]) / whole == pytest.approx(0.25, abs=0.02)  # the first layer's input is not pruned
    assert model(x).shape == (2, 10)
