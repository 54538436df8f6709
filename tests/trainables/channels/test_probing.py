"""Which channels depend on which, on networks where that is known beforehand."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torchvision.ops import DeformConv2d

from tests.support.kind_networks import Unused
from trainables.channels import probing
from trainables.channels.connections import MIXED
from trainables.channels.groups import groups_of
from trainables.channels.marks import bits_of, numbered, read_numbers
from trainables.channels.operators import Key
from trainables.channels.order import layers_backwards
from trainables.channels.probing import probe
from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.pruning.analysis import analyse

X = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Between(nn.Module):
    """Two layers with some function between them."""

    def __init__(self, wide: int, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.function = nn.Conv2d(1, wide, 3, padding=1), function
        self.head = nn.LazyLinear(10)
        self(X)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.function(self.first(x)))
        return scores


def units(model: Between) -> dict[int, list[int]]:
    """By unit of the first layer, its channels, and the columns of the last layer as negative numbers from -1 on."""
    seen = probe(model, X)
    root: Key = (id(model.first.weight), 0)
    (group,) = groups_of(seen, [root], {})
    found: dict[int, list[int]] = {}
    for member in group.members:
        for channel, unit in zip(member.channels.tolist(), member.units.tolist(), strict=True):
            found.setdefault(unit, []).append(channel if member.port.key == root else -1 - channel)
    return found


@pytest.mark.parametrize("wide", [2, 5, 16, 37])
def test_a_mean_keeps_channels_in_their_places(wide: int) -> None:
    found = units(Between(wide, lambda x: x.relu().mean((2, 3))))
    assert found == {channel: [channel, -1 - channel] for channel in range(wide)}


def test_flattening_gives_each_channel_a_row_of_columns() -> None:
    found = units(Between(4, lambda x: nn.functional.max_pool2d(x, 4).flatten(1)))
    assert found == {one: [one, *(-1 - column for column in range(4 * one, 4 * one + 4))] for one in range(4)}


def test_a_shuffle_is_followed() -> None:
    order = torch.randperm(24, generator=torch.Generator().manual_seed(1))
    found = units(Between(24, lambda x: x.mean((2, 3))[:, order]))
    assert found == {int(channel): [int(channel), -1 - place] for place, channel in enumerate(order)}


@pytest.mark.parametrize("wide", [16, 24, 90])
def test_a_gate_ties_the_halves(wide: int) -> None:
    found = units(Between(wide, lambda x: nn.functional.glu(x, 1).mean((2, 3))))
    assert found == {one: [one, one + wide // 2, -1 - one] for one in range(wide // 2)}


def test_a_layer_whose_channels_are_normalized_over_each_other_can_lose_none() -> None:
    model = Between(8, lambda x: nn.functional.normalize(x.mean((2, 3)), dim=1))
    (group,) = groups_of(probe(model, X), [(id(model.first.weight), 0)], {})
    assert group.fixed == MIXED


class Weighing(nn.Module):
    """Two layers, the second of which sees the first through another layer's weights for places or for branches."""

    def __init__(self, weights: int, weigh: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.weights = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, weights, 1)
        self.second, self.head, self.weigh = nn.Conv2d(8, 12, 1), nn.Linear(12, 10), weigh

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        scores: Tensor = self.head(self.second(self.weigh(x, self.weights(x))).relu().mean((2, 3)))
        return scores


@pytest.mark.parametrize(
    ("weights", "weigh"),
    [
        (1, lambda x, by: x * by.sigmoid()),  # a spatial gate
        (1, lambda x, by: x + (x.flatten(2) @ by.flatten(2).softmax(2).mT)[..., None]),  # arXiv 1904.11492
        (3, lambda x, by: sum(x.roll(one, 3) * by.softmax(1)[:, one : one + 1] for one in range(3))),
        (4, lambda x, by: x * by.mean((2, 3)).norm(dim=1)[:, None, None, None]),
        (6, lambda x, by: (x.flatten(2) @ (by.flatten(2).mT @ by.flatten(2)).softmax(1)).view_as(x)),  # one head
    ],
)
def test_a_layer_that_weighs_all_channels_alike_ties_none_of_them(
    weights: int, weigh: Callable[[Tensor, Tensor], Tensor]
) -> None:
    found = analyse(Weighing(weights, weigh), X)
    assert {name: group.units for name, group in found.groups.items()} == {"first": 8, "second": 12}
    reasons = {one.layer: one.reason for one in found.left_alone}
    assert reasons["weights"] == ("it has one channel" if weights == 1 else MIXED)


def test_two_layers_that_are_added_are_told_apart_from_two_that_are_joined() -> None:
    class Two(nn.Module):
        def __init__(self, *, joined: bool) -> None:
            super().__init__()
            self.one, self.two, self.joined = nn.Conv2d(1, 8, 1), nn.Conv2d(1, 8, 1), joined
            self.head = nn.Linear(16 if joined else 8, 10)

        def forward(self, x: Tensor) -> Tensor:
            parts = self.one(x), self.two(x)
            x = torch.cat(parts, 1) if self.joined else parts[0] + parts[1]
            scores: Tensor = self.head(x.mean((2, 3)))
            return scores

    for joined, expected in ((False, [[8, 8, 8]]), (True, [[8, 8], [8, 8]])):
        model = Two(joined=joined)
        roots: list[Key] = [(id(model.one.weight), 0), (id(model.two.weight), 0)]
        groups = groups_of(probe(model, X), roots, {})
        assert [[len(member.channels) for member in group.members] for group in groups] == expected


def test_a_convolution_with_kernels_of_its_own_for_each_image_is_left_alone() -> None:
    class Dynamic(nn.Module):
        """A dynamic convolution (arXiv 1912.03458): all images lie in the channels, each in a group with its kernel."""

        def __init__(self) -> None:
            super().__init__()
            self.one, self.choose, self.kernels = nn.Conv2d(1, 8, 1), nn.Linear(8, 3), nn.Parameter(torch.rand(3, 576))
            self.after, self.head = nn.Conv2d(8, 12, 1), nn.Linear(12, 10)

        def forward(self, x: Tensor) -> Tensor:
            x = self.one(x)
            kernels = (self.choose(x.mean((2, 3))).softmax(1) @ self.kernels).reshape(-1, 8, 3, 3)
            mixed = conv2d(x.reshape(1, -1, *x.shape[2:]), kernels, padding=1, groups=len(x)).reshape(x.shape)
            scores: Tensor = self.head(self.after(mixed).mean((2, 3)))
            return scores

    found = analyse(Dynamic(), X)
    assert list(found.groups) == ["after"]
    assert [one.layer for one in found.left_alone] == ["one", "choose", "head"]


class TokensFirst(nn.Module):
    """Layers on tokens (n, tokens, features), and on tokens that come before the images (tokens, n, features)."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self.tokens, self.one, self.two, self.head = tokens, nn.Linear(2, 8), nn.Linear(8, 6), nn.Linear(6, 10)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(1)[:, : 2 * self.tokens].reshape(len(x), self.tokens, 2)
        scores: Tensor = self.head(self.two(self.one(tokens).transpose(0, 1).relu()).relu().mean(0))
        return scores


@pytest.mark.parametrize("tokens", [2, 3, 20, 31])
def test_images_are_not_taken_for_tokens_however_many_there_are_of_either(tokens: int) -> None:
    found = analyse(TokensFirst(tokens), X)
    assert {name: group.units for name, group in found.groups.items()} == {"two": 6, "one": 8}


def test_passes_of_one_image_find_what_a_pass_of_many_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    def shuffled(x: Tensor) -> Tensor:
        return x.reshape(len(x), 2, 6, 8, 8).transpose(1, 2).flatten(1, 2).cumsum(1).mean((2, 3))

    torch.manual_seed(0)
    for function in (shuffled, lambda x: x.flatten(1)):
        model = Between(12, function)
        expected = units(model)
        with monkeypatch.context() as changed:
            changed.setattr(probing, "LARGEST", 1)
            assert units(model) == expected


def test_numbers_are_spelled_and_read() -> None:
    for size in (1, 2, 3, 100, 2048):
        bits = bits_of(size)
        numbers, single, full = read_numbers(torch.stack(numbered(torch.arange(size), bits)), bits)
        assert numbers.tolist() == list(range(size))
        assert bool(single.all())
        assert not bool(full.any())
    eight = torch.stack(numbered(torch.arange(8), 3))
    two = eight[:, [1]] | eight[:, [3]]
    assert not bool(read_numbers(two, 3)[1].any())


def test_nothing_of_the_network_changes_and_no_number_is_drawn() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10))
    model.train()[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    generator = torch.get_rng_state()
    probe(model, X)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, True, False, True, True]
    assert torch.equal(torch.get_rng_state(), generator)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_layers_are_ordered_from_the_scores_backwards_and_unused_ones_come_last() -> None:
    layers = layers_backwards(model := Unused(), X)
    assert layers == [model.head, model.second, model.first, model.dead]


class Deformed(nn.Module):
    """A deformable convolution, whose kernel reads where its offsets say, and no NaN may say that."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.offsets = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 18, 3, padding=1)
        self.deformed, self.last = DeformConv2d(6, 8, 3, padding=1), nn.Conv2d(8, 12, 3)
        self.head = nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = self.last(self.deformed(x, self.offsets(x)).relu()).relu()
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


def test_marks_do_not_reach_a_kernel_that_reads_where_they_say() -> None:
    """It ended the process. What lies before it is left as it is, and what lies behind it is pruned as ever."""
    model = Deformed()
    pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0)
    pruner.step(1, model, X, torch.tensor([0]))
    assert (model.first.out_channels, model.offsets.out_channels, model.last.out_channels) == (6, 18, 6)
    assert {"first", "offsets"} <= set(pruner.left_as_is())
    assert model(X).shape == (1, 10)


@pytest.mark.parametrize("projected", [0, 3])
@pytest.mark.parametrize("layers", [1, 2])
def test_both_directions_of_a_recurrent_layer_read_the_channels_before_it(projected: int, layers: int) -> None:
    class Rows(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 6, 3, padding=1)
            self.rows = nn.LSTM(6, 5, layers, bidirectional=True, batch_first=True, proj_size=projected)
            self.head = nn.Linear(2 * (projected or 5), 10)

        def forward(self, x: Tensor) -> Tensor:
            steps, _ = self.rows(self.first(x).relu().mean(3).transpose(1, 2))
            scores: Tensor = self.head(steps[:, -1])
            return scores

    model = Rows()
    ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0).step(1, model, X, torch.tensor([0]))
    assert model.rows.weight_ih_l0.shape == model.rows.weight_ih_l0_reverse.shape == (20, 3)
    assert model(X).shape == (1, 10)


class Guarded(nn.Module):
    """A network that ends itself where a number is not finite, and puts 0 in the place of what is none."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last, self.head = nn.Conv2d(1, 6, 3), nn.Conv2d(6, 12, 3), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        assert torch.isfinite(x).all()
        x = self.last(torch.where(x.isnan(), 0.0, x)).relu()
        if bool(torch.isinf(x).any() | torch.isnan(input=x).any()):
            raise ValueError("the network has diverged")
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


def test_a_network_that_looks_out_for_nan_is_told_nothing_of_marks() -> None:
    model = Guarded()
    pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0)
    pruner.step(1, model, X, torch.tensor([0]))
    assert (model.first.out_channels, model.last.out_channels) == (3, 6)
    with pytest.raises(AssertionError):
        model(X * torch.nan)
