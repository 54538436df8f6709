"""Groups that can lose some units and not others: left alone from the start, or once the chosen ones cannot go."""

import pytest
import torch
from torch import Tensor, nn

from trainables.compression.config import ChannelPruning, Importance, Scope
from trainables.compression.pruning import ChannelPruner
from trainables.compute.flops import forward_flops
from trainables.pruning import analysis, remembered, trials
from trainables.pruning.analysis import analyse
from trainables.pruning.trials import WAYS, patterns

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(4)


class LastFour(nn.Module):
    """One layer reads all channels but the last four, another reads those."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.one, self.two = nn.Conv2d(3, 16, 3), nn.Conv2d(12, 12, 1), nn.Conv2d(4, 8, 1)
        self.head = nn.Linear(20, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = torch.cat([self.one(x[:, :-4]).relu(), self.two(x[:, -4:]).relu()], 1)
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


class Shifted(nn.Module):
    """An eighth of the channels is shifted one way, an eighth the other, as a temporal shift does."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.second, self.third = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 12, 1)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        share = x.shape[1] // 8
        shifted = [x[:, :share].roll(1, -1), x[:, share : 2 * share].roll(-1, -1), x[:, 2 * share :]]
        x = x + self.second(torch.cat(shifted, 1)).relu()
        scores: Tensor = self.head(self.third(x).relu().mean((2, 3)))
        return scores


class Chain(nn.Module):
    """Halves of a layer's channels, to the second of which others are added, as in YOLO's C2f."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.split, self.add = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.join, self.head = nn.Conv2d(24, 16, 1), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.split(self.stem(x).relu()).chunk(2, 1))
        parts.append(parts[-1] + self.add(parts[-1]))
        scores: Tensor = self.head(self.join(torch.cat(parts, 1)).relu().mean((2, 3)))
        return scores


RIGID: dict[str, tuple[type[nn.Module], set[str]]] = {
    "last four": (LastFour, {"stem"}),
    "shifted": (Shifted, {"stem", "second"}),
    "chain": (Chain, {"split", "add"}),
}


def fresh(name: str, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return RIGID[name][0]()


@pytest.mark.parametrize("name", RIGID)
def test_what_depends_on_places_is_left_alone_from_the_start(name: str) -> None:
    found = analyse(fresh(name, 0), X[:1])
    assert {one.layer for one in found.left_alone} == {*RIGID[name][1], "head"}


@pytest.mark.parametrize("scope", ["global", "uniform"])
@pytest.mark.parametrize("importance", ["l1", "random"])
@pytest.mark.parametrize("name", RIGID)
def test_every_proposal_prunes_the_other_layers(name: str, importance: Importance, scope: Scope) -> None:
    for ratio in (0.2, 0.5, 0.8):
        model, pruner = (
            fresh(name, 1),
            ChannelPruner(ChannelPruning(pruning_ratio=ratio, importance=importance, scope=scope), seed=1),
        )
        whole = sum(one.numel() for one in model.parameters())
        pruner.step(1, model, X, Y)
        assert set(pruner.left_as_is()) == RIGID[name][1]
        assert sum(one.numel() for one in model.parameters()) < whole
        assert model(X).shape == (4, 10)


@pytest.fixture
def one_pattern(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are tried in one way only, so that the chosen units of some cannot go."""
    monkeypatch.setattr(trials, "WAYS", WAYS[:1])
    monkeypatch.setattr(analysis, "_SETTLED", {})
    monkeypatch.setattr(remembered, "_KNOWN", {})


@pytest.mark.usefixtures("one_pattern")
def test_a_group_that_cannot_lose_the_chosen_units_is_left_alone_and_the_others_lose_theirs() -> None:
    outcomes = set()
    for seed in range(4):
        model = fresh("last four", seed)
        assert "stem" in analyse(model, X[:1]).groups
        pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.5, importance="random", scope="uniform"), seed=seed)
        pruner.step(1, model, X, Y)
        widths = [len(model.get_parameter(f"{layer}.weight")) for layer in ("stem", "one", "two")]
        assert widths[1:] == [6, 4]
        assert (widths[0] == 16) == ("stem" in pruner.left_as_is())
        outcomes.add(widths[0])
        assert model(X).shape == (4, 10)
    assert 16 in outcomes


@pytest.mark.usefixtures("one_pattern")
@pytest.mark.parametrize("scope", ["global", "uniform"])
def test_a_share_of_macs_is_met_without_a_group_that_cannot_lose_its_units(scope: Scope) -> None:
    model = fresh("last four", 0)
    whole = forward_flops(model, X[:1])
    pruner = ChannelPruner(ChannelPruning(mac_ratio=0.8, importance="random", scope=scope), seed=0)
    pruner.step(1, model, X, Y)
    assert "stem" in pruner.left_as_is()
    assert 0.7 < forward_flops(model, X[:1]) / whole <= 0.8


def test_patterns_take_different_units_and_never_all_of_a_layer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 12, 3), nn.Conv2d(12, 9, 3), nn.Flatten(), nn.Linear(144, 10))
    groups = list(analyse(model, X[:1]).groups.values())
    assert [group.units for group in groups] == [9, 12]
    for group in groups:
        first, last, few, most = (patterns(groups, way)[group.root].tolist() for way in WAYS)
        assert max(first) < group.units / 2 <= min(last)
        assert 0 < len(few) <= group.units / 3 < group.units / 2 < len(most) <= group.units - 2
