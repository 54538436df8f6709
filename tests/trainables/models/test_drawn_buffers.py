"""Buffers that the user's code draws anew in each build, without saving them: they are saved with the weights."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load, save_file
from torch import Tensor, nn

from tests.support.faulty_networks import DrawsABuffer
from trainables.checkpoints.tensors import pack_model
from trainables.errors import InvalidInput
from trainables.models.build import build, frozen
from trainables.models.config import Network, Weights
from trainables.models.weights import load_compressed, load_weights

SHAPE = (1, 8, 8)
DRAWN = {"mixing", "body.order"}


def built(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    np.random.seed(seed)
    return build(Network(name="tests.support.faulty_networks:DrawsABuffer"), SHAPE)


def scores(model: nn.Module) -> Tensor:
    with frozen(model), torch.no_grad():
        given: Tensor = model(torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(0)))
    return given


def test_drawn_buffers_are_saved_and_fixed_ones_are_not() -> None:
    model = built(0)
    torch.manual_seed(0)
    np.random.seed(0)
    theirs = DrawsABuffer(SHAPE, 10)
    assert model.state_dict().keys() - theirs.state_dict().keys() == DRAWN
    assert not model.state_dict().keys() & {"fixed"}
    again = load_compressed(built(1), load(pack_model(model)))
    assert torch.equal(scores(again), scores(model))
    assert torch.equal(model.get_buffer("mixing"), theirs.get_buffer("mixing"))  # those of the first build


def test_what_is_drawn_after_a_network_was_built_is_as_if_it_had_been_built_once() -> None:
    built(0)
    after = torch.rand(3), np.random.random(3)
    torch.manual_seed(0)
    np.random.seed(0)
    DrawsABuffer(SHAPE, 10)
    assert torch.equal(torch.rand(3), after[0])
    assert (np.random.random(3) == after[1]).all()


def test_weights_that_an_earlier_version_saved_without_them_are_loaded() -> None:
    model = built(0)
    before = {name: value for name, value in model.state_dict().items() if name not in DRAWN}
    again = built(1)
    mixing = again.get_buffer("mixing").clone()
    load_compressed(again, before)
    assert torch.equal(again.get_buffer("mixing"), mixing)
    assert torch.equal(again.get_parameter("head.weight"), model.get_parameter("head.weight"))


def test_the_users_own_weights_without_them_are_refused_by_name_and_with_them_fit(tmp_path: Path) -> None:
    model, path = built(0), str(tmp_path / "weights.safetensors")
    save_file({name: value for name, value in model.state_dict().items() if name not in DRAWN}, path)
    with pytest.raises(InvalidInput, match=r"code draws body.order, mixing anew each .*save it with them, or draw it"):
        load_weights(built(1), Weights(path=path))
    save_file(model.state_dict(), path)
    again = built(1)
    load_weights(again, Weights(path=path))
    assert torch.equal(scores(again), scores(model))
