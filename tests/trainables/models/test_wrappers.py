"""Networks that are compiled, parallel, traced or exported: run as plain modules, or refused with the layer's name."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import DataParallel

from trainables.compression.config import ChannelPruning
from trainables.compression.pruning import ChannelPruner
from trainables.compute.flops import measure
from trainables.errors import InvalidInput
from trainables.models.wrappers import unwrapped

X = torch.rand(2, 1, 8, 8)


def network() -> nn.Sequential:
    body = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU())
    return nn.Sequential(body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 10))


def whole(model: nn.Sequential) -> Any:
    return torch.compile(model)


def in_place(model: nn.Sequential) -> Any:
    model.compile()
    model[3].compile()
    return model


def part(model: nn.Sequential) -> Any:
    compiled: Any = torch.compile(model[0])
    model[0], model[3] = compiled, DataParallel(model[3])
    return model


def nested(model: nn.Sequential) -> Any:
    part: Any = torch.compile(model[0])
    part = torch.compile(DataParallel(part))
    model[0] = part
    compiled: Any = torch.compile(model)
    return DataParallel(compiled)


@pytest.mark.parametrize("wrap", [whole, in_place, part, nested, DataParallel], ids=lambda wrap: wrap.__name__)
def test_a_wrapped_network_is_counted_and_pruned_as_the_plain_one(wrap: Callable[..., Any]) -> None:
    torch.manual_seed(0)
    plain = network()
    made = network()
    made.load_state_dict(plain.state_dict())
    model = unwrapped(wrap(made), "net")
    assert list(model.state_dict()) == list(plain.state_dict())
    assert all(layer._compiled_call_impl is None for layer in model.modules())
    assert torch.equal(model(X), plain(X))
    assert measure(model, X[:1]) == measure(plain, X[:1])
    for one in (model, plain):
        ChannelPruner(ChannelPruning(pruning_ratio=0.5), seed=0).step(1, one, X, torch.tensor([0, 1]))
    assert torch.equal(model(X), plain(X))
    assert measure(model, X[:1]).forward < 0.8 * measure(network(), X[:1]).forward


def test_a_part_that_is_used_twice_stays_one() -> None:
    layer: Any = torch.compile(nn.Conv2d(1, 1, 3, padding=1))
    model = unwrapped(nn.Sequential(layer, nn.ReLU(), layer), "net")
    assert isinstance(model, nn.Sequential)
    assert isinstance(model[0], nn.Conv2d)
    assert model[0] is model[2]


def test_what_cannot_be_taken_apart_is_refused_by_its_layer() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyTorch's, of TorchScript
        jit: Any = torch.jit
        scripted, model = jit.script(network()), network()
        model[0] = jit.trace(model[0], X)
    with pytest.raises(InvalidInput, match=r"net: is TorchScript, whose layers cannot be changed, expected the torch"):
        unwrapped(scripted, "net")
    with pytest.raises(InvalidInput, match="net: is TorchScript in layer 0, whose layers"):
        unwrapped(model, "net")
    exported: Any = torch.export.export(network(), (X,)).module()
    with pytest.raises(InvalidInput, match=r"net: is a program of torch\.export, whose layers are fixed, expected"):
        unwrapped(exported, "net")
