"""What the proof lets pass that must pass: nothing removed, and removals beside operators that stay as they are."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from tests.support import kinds, layer_kinds
from trainables.channels.probing import probe
from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.models.build import first_output
from trainables.pruning.trials import problem

X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(4)


class CrossAttention(nn.Module):
    """Learnt queries that attend to features of another width."""

    def __init__(self) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(4, 24))
        self.attention = nn.MultiheadAttention(24, 4, kdim=16, vdim=16, batch_first=True)
        self.narrow = nn.Linear(24, 16)

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2)
        found = self.attention(self.queries.expand(len(x), -1, -1), tokens, tokens, need_weights=False)[0]
        scores: Tensor = self.narrow(found).transpose(1, 2)[..., None]
        return scores


# Operators of 16 channels that can lose none, beside which all else must still be pruned.
RIGID: dict[str, Callable[[], nn.Module]] = {
    "attention of other sizes": CrossAttention,
    "transposed, depthwise": lambda: nn.ConvTranspose2d(16, 16, 2, 2, groups=16),
    "transposed, two groups": lambda: nn.ConvTranspose2d(16, 16, 2, 2, groups=2),
}


def beside(rigid: nn.Module) -> nn.Sequential:
    first, second = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 16, 3)
    return nn.Sequential(first, nn.ReLU(), second, rigid, nn.Conv2d(16, 20, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
    **{name: (make, X[:1]) for name, make in layer_kinds.KINDS.items()},
    **{name: (make, X[:1, :1]) for name, (make, _) in kinds.KINDS.items()},
    **{name: (lambda make=make: beside(make()), X[:1]) for name, make in RIGID.items()},  # type: ignore[misc]
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_removal_of_nothing_is_never_refused(name: str) -> None:
    make, image = NETWORKS[name]
    torch.manual_seed(0)
    model = make()
    model.register_forward_hook(first_output)
    assert problem(model, probe(model, image), [], image, {}) is None


@pytest.mark.parametrize("name", RIGID)
def test_layers_beside_an_operator_that_can_lose_nothing_are_pruned(name: str) -> None:
    torch.manual_seed(0)
    model = beside(RIGID[name]()).append(nn.Linear(20, 10))
    pruner = ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0)
    pruner.step(1, model, X, Y)
    assert [len(model.get_parameter(f"{layer}.weight")) for layer in (0, 2, 4)] == [6, 16, 10]
    assert model(X).shape == (4, 10)
    assert "2" in pruner.left_as_is()
