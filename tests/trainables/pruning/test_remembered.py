"""What an analysis found serves other networks that are alike, and no others."""

import pytest
import torch
from torch import Tensor, nn

from trainables.channels.probing import probe
from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.compute.counter import FlopCounter
from trainables.pruning import analysis, remembered
from trainables.pruning.analysis import analyse

X = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Turned(nn.Module):
    """A network whose channels are turned round where a buffer says so."""

    def __init__(self, *, turned: bool) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 12, 3), nn.BatchNorm2d(12)
        self.register_buffer("turned", torch.tensor(turned))
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        means = self.norm(self.first(x)).relu().mean((2, 3))
        scores: Tensor = self.head(means.flip(1) if self.get_buffer("turned") else means)
        return scores


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Nothing is remembered yet; returns a list that has an entry for each network that was probed."""
    monkeypatch.setattr(remembered, "_KNOWN", {})
    probed = list[int]()

    def counted(model: nn.Module, example: Tensor) -> object:
        probed.append(id(model))
        return probe(model, example)

    monkeypatch.setattr(analysis, "probe", counted)
    return probed


def columns(model: Turned) -> dict[int, int]:
    """By channel of the first layer, the column of the last that reads it."""
    (group,) = analyse(model, X[:1]).groups.values()
    members = {member.port.key: member for member in group.members}
    first, last = members[id(model.first.weight), 0], members[id(model.head.weight), 1]
    there = dict(zip(last.units.tolist(), last.channels.tolist(), strict=True))
    return {channel: there[unit] for channel, unit in zip(first.channels.tolist(), first.units.tolist(), strict=True)}


def test_other_weights_are_not_probed_again(nothing_known: list[int]) -> None:
    one, other = Turned(turned=True), Turned(turned=True)
    assert not torch.equal(one.first.weight, other.first.weight)
    assert columns(one) == columns(other)
    assert nothing_known == [id(one)]


def test_another_value_that_is_read_is_another_network(nothing_known: list[int]) -> None:
    for turned in (False, True):
        found = columns(Turned(turned=turned))
        assert found == {channel: 11 - channel if turned else channel for channel in range(12)}
    assert len(nothing_known) == 2


def test_other_widths_are_another_network(nothing_known: list[int]) -> None:
    model, pruner = Turned(turned=True), ChannelPruner(ChannelPruning(pruning_ratio=0.5, steps=2), seed=0)
    for number in (1, 2):
        pruner.step(number, model, X, torch.tensor([0, 1]))
        assert model.eval()(X).shape == (2, 10)
    assert len(nothing_known) == 2
    assert model.first.weight.shape[0] < 12


def test_what_is_remembered_is_pruned_and_charged_alike(nothing_known: list[int]) -> None:
    states, charged = [], []
    for _ in range(2):
        torch.manual_seed(0)
        model = Turned(turned=True)
        with FlopCounter() as counter:
            ChannelPruner(ChannelPruning(pruning_ratio=0.5), seed=0).step(1, model, X, torch.tensor([0, 1]))
        states.append(model.state_dict())
        charged.append((counter.flops, counter.by_layer))
    assert len(nothing_known) == 1
    assert charged[0] == charged[1]
    assert charged[0][0] > 0
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert states[0]["first.weight"].shape[0] < 12
