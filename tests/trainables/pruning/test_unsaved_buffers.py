"""Buffers that the network's code makes and nothing saves: once they are narrower, they are saved and loaded."""

import copy
from collections.abc import Callable

import pytest
import torch
from safetensors.torch import load
from torch import Tensor, nn
from torch.nn.functional import conv2d

from trainables.checkpoints.tensors import pack_model
from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning
from trainables.models.weights import load_compressed
from trainables.pruning.analysis import analyse

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(4)


class Positions(nn.Module):
    """Fixed embeddings of positions."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 24, 2, 2), nn.Linear(24, 10)
        angles = torch.arange(16.0)[:, None] / 100 ** (torch.arange(0, 24, 2) / 24)
        self.register_buffer(
            "places", torch.stack([angles.sin(), angles.cos()], -1).reshape(1, 16, 24), persistent=False
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head((self.patches(x).flatten(2).mT + self.get_buffer("places")).relu().mean(1))
        return scores


class Blurred(nn.Module):
    """A fixed filter for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 12, 1), nn.Linear(12, 10)
        line = torch.tensor([1.0, 2.0, 1.0])
        filters = (line[:, None] * line / 16)[None, None].repeat(16, 1, 1, 1) * torch.linspace(1, 2, 16)[
            :, None, None, None
        ]
        self.register_buffer("filters", filters, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        filters = self.get_buffer("filters")
        x = conv2d(self.first(x).relu(), filters, stride=2, groups=len(filters))
        scores: Tensor = self.head(self.second(x).relu().mean((2, 3)))
        return scores


def scores(model: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(X)
    return found


@pytest.mark.parametrize(("make", "buffer", "width"), [(Positions, "places", 24), (Blurred, "filters", 16)])
def test_a_network_with_a_narrower_buffer_is_loaded_to_equal_scores_and_serves_as_base(
    make: Callable[[], nn.Module], buffer: str, width: int
) -> None:
    torch.manual_seed(0)
    model, pruning = make(), ChannelPruning(pruning_ratio=0.5, scope="uniform", importance="random")
    whole = model.get_buffer(buffer).clone()
    Compressors([pruning], seed=0).step(1, model, X, Y)
    narrow = model.get_buffer(buffer)
    assert narrow.numel() == whole.numel() // 2
    assert bool(torch.isin(narrow, whole).all())
    again = Compressors([pruning], seed=0).load(make(), load(pack_model(model)))
    assert torch.equal(scores(again), scores(model))
    assert torch.equal(scores(copy.deepcopy(again)), scores(model))
    Compressors([pruning], seed=1).step(1, again, X, Y)  # pruned once more, as a base is
    assert width // 4 in again.get_buffer(buffer).shape
    assert torch.equal(scores(load_compressed(make(), load(pack_model(again)))), scores(again))


def test_what_is_saved_is_as_before_where_nothing_was_removed_or_all_was_put_back() -> None:
    model = Positions()
    before, whole = set(model.state_dict()), model.get_buffer("places")
    removal = analyse(model, X[:1]).remove(model, {"patches": torch.tensor([0, 5])})
    assert set(model.state_dict()) - before == {"places"}
    removal.undo()
    assert set(model.state_dict()) == before
    assert model.get_buffer("places") is whole


def test_a_buffer_that_is_not_saved_is_refused_in_a_state_that_has_it_whole() -> None:
    model = Positions()
    with pytest.raises(RuntimeError, match="places"):
        load_compressed(Positions(), {**model.state_dict(), "places": model.get_buffer("places")})
