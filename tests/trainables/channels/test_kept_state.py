"""A look at a network changes nothing that its modules hold, and draws of a network are the same in every look."""

import random
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.channels.kept_state import state_kept
from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.pruning.analysis import analyse

X = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
Y = torch.arange(8)


class HandWritten(nn.Module):
    """Batch normalization as many write it, which PyTorch's class is not a part of."""

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(16)), nn.Parameter(torch.zeros(16))
        self.register_buffer("running_mean", torch.zeros(16))
        self.register_buffer("running_var", torch.ones(16))

    def forward(self, x: Tensor) -> Tensor:
        means, variances = self.get_buffer("running_mean"), self.get_buffer("running_var")
        return functional.batch_norm(x, means, variances, self.weight, self.bias, self.training)


class Averaged(nn.Module):
    """Running means that are computed by hand, as a buffer, a tensor without a name in the state, and a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(16))
        self.plain, self.parameter = torch.zeros(16), nn.Parameter(torch.zeros(16))
        self.kept = nn.Embedding(1, 16)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            with torch.no_grad():
                found = x.mean((0, 2, 3))
                self.get_buffer("means").lerp_(found, 0.1)
                self.plain = self.plain.lerp(found, 0.1)
                self.parameter.data.lerp_(found, 0.1)
                self.kept.weight = nn.Parameter(self.kept.weight.lerp(found[None], 0.1))
        return x


class Counting(nn.Module):
    """Counts its passes in every way, and draws from a generator of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("passes", torch.zeros(()))
        self.number, self.sizes, self.generator = 0, [0], torch.Generator()

    def forward(self, x: Tensor) -> Tensor:
        self.get_buffer("passes").add_(1)
        self.number += 1
        self.sizes.append(len(x))
        torch.rand(1, generator=self.generator)
        return x


class Network(nn.Module):
    def __init__(self, stateful: nn.Module, *, auxiliary: bool) -> None:
        super().__init__()
        self.first, self.stateful, self.second = nn.Conv2d(3, 16, 3), stateful, nn.Conv2d(16, 24, 3)
        self.head, self.extra = nn.Linear(24, 10), nn.Linear(16, 10) if auxiliary else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.stateful(self.first(x)).relu()
        scores: Tensor = self.head(self.second(x).relu().mean((2, 3)))
        if self.training and self.extra is not None:
            return scores, self.extra(x.mean((2, 3)))  # type: ignore[return-value]
        return scores


def told(module: nn.Module) -> list[object]:
    """All that the module holds, as values that can be compared."""
    held = {**module._parameters, **module._buffers, **vars(module)}
    plain = {name: value for name, value in held.items() if isinstance(value, int | list)}
    tensors = {name: (id(one), one.tolist()) for name, one in held.items() if isinstance(one, Tensor)}
    generators = [one.get_state().tolist() for one in held.values() if isinstance(one, torch.Generator)]
    return [plain, tensors, generators]


@pytest.mark.parametrize("auxiliary", [False, True])
@pytest.mark.parametrize("make", [HandWritten, Averaged, Counting])
def test_an_analysis_leaves_what_modules_hold_as_it_was(make: Callable[[], nn.Module], auxiliary: bool) -> None:
    torch.manual_seed(0)
    model = Network(make(), auxiliary=auxiliary).train()
    for _ in range(3):
        model(X)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    held = [told(module) for module in model.modules()]
    analyse(model, X[:1])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [told(module) for module in model.modules()] == held


@pytest.mark.parametrize("auxiliary", [False, True])
def test_statistics_of_ones_own_batch_normalization_outlive_pruning(auxiliary: bool) -> None:
    torch.manual_seed(0)
    model = Network(HandWritten(), auxiliary=auxiliary).train()
    for _ in range(3):
        model(X)
    before = model.stateful.get_buffer("running_mean").clone()
    pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0)
    pruner.step(1, model, X, Y)
    after = model.stateful.get_buffer("running_mean")
    assert len(after) == 8
    assert bool(torch.isin(after, before).all())
    assert "first" not in pruner.left_as_is()


class Depth(nn.Module):
    """Residual blocks that are left out by chance in training, as Python's or NumPy's generator draws."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.stem, self.draw = nn.Conv2d(3, 16, 3), draw
        self.blocks = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(4))
        self.last, self.head = nn.Conv2d(16, 12, 1), nn.Linear(12, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if not self.training or self.draw() > 0.3:
                x = x + block(x).relu()
        scores: Tensor = self.head(self.last(x).relu().mean((2, 3)))
        return scores


@pytest.mark.parametrize("draw", [random.random, np.random.random])
def test_depth_by_chance_is_pruned_whatever_is_drawn_and_draws_nothing(draw: Callable[[], float]) -> None:
    widths = set()
    for seed in range(6):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(0)
        states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index]
        model = Depth(draw)
        ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0).step(1, model, X, Y)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == states  # type: ignore[index]
        widths.add((model.stem.out_channels, model.last.out_channels))
    assert widths == {(8, 6)}


def test_tensors_in_containers_are_put_back_and_expanded_ones_do_no_harm() -> None:
    class Remembering(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory: dict[str, list[Tensor]] = {"one": [torch.zeros(2)]}
            self.shown, self.fresh = torch.zeros(1).expand(3), 0

    module = Remembering()
    with state_kept(module, parameters=False):
        module.memory["one"][0].add_(1)
        module.memory["two"] = []
        module.fresh = 1
    assert list(module.memory) == ["one"]
    assert module.memory["one"][0].tolist() == [0, 0]
    assert module.fresh == 0
