"""What every compression method must hold, on every kind of network: those with names, and a user's own."""

import copy
from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainables.compression.compressor import FLOAT, Compressors, layers_of
from trainables.compression.config import (
    NAMED,
    ChannelPruning,
    Compression,
    Method,
    NoCompression,
    Quantization,
    Settings,
    UserCompression,
)
from trainables.compression.size import forward_bitops, stored_bytes
from trainables.compute.flops import forward_flops
from trainables.models.build import build
from trainables.models.config import Network
from trainables.models.weights import load_compressed
from trainables.network_check.compressed import check_compressed

Methods = tuple[Compression | Quantization, ...]


def own(reference: str, steps: int = 1, **settings: float) -> UserCompression:
    return UserCompression(method=f"tests.support.{reference}", steps=steps, settings=Settings.model_validate(settings))


BITS = Quantization(weight_bits=4, activation_bits=6)
MASKS = own("masks:Masks", steps=2, share=0.8)
ENTRIES: dict[str, Methods] = {
    "pruning": (ChannelPruning(pruning_ratio=0.5),),
    "pruning by Taylor": (ChannelPruning(mac_ratio=0.4, importance="taylor", scope="uniform"),),
    "pruning at random": (ChannelPruning(pruning_ratio=0.6, importance="random", steps=2),),
    "quantization": (BITS,),
    "pruning, quantization": (ChannelPruning(pruning_ratio=0.5, steps=2), BITS),
    "own low rank": (own("low_rank:LowRank", share=0.3),),
    "own low rank, quantization": (own("low_rank:LowRank", share=0.3), BITS),
    "own masks": (MASKS,),
    "own masks, quantization": (MASKS, BITS),
    "own masks, quantized inputs": (MASKS, Quantization(weight_bits=32, activation_bits=5)),
}
NETWORKS = {
    "plain with BatchNorm": (Network(name="small"), (1, 8, 8)),
    "plain without": (Network(name="small", normalization=False), (3, 8, 8)),
    "residual": (Network(name="wide_resnet", depth=10, width=1), (3, 12, 12)),
}
every = pytest.mark.parametrize(
    ("methods", "network"),
    [pytest.param(ENTRIES[entry], network, id=f"{entry}-{network}") for entry in ENTRIES for network in NETWORKS],
)


def test_every_method_that_a_study_may_name_is_covered() -> None:
    classes = {get_args(arm)[0] for arm in get_args(get_args(Compression)[0])} | {Quantization}
    assert classes == set(Method.__subclasses__())
    assert {type(method) for methods in ENTRIES.values() for method in methods} == classes - {NoCompression}
    assert len(classes) == 4
    assert NAMED == ("none", "channel_pruning")
    assert (len(ENTRIES), len(NETWORKS)) == (10, 3)


def fresh(network: str) -> nn.Module:
    torch.manual_seed(0)
    return build(*NETWORKS[network])


def images(network: str) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(12, *NETWORKS[network][1], generator=generator), torch.arange(12).remainder(10)


def last_of(methods: Methods) -> int:
    return 1 + sum(method.steps - 1 for method in methods)


def train(model: nn.Module, x: Tensor, y: Tensor) -> None:
    """A step of gradient descent, which moves every weight and the statistics of BatchNorm."""
    model.train().zero_grad()
    torch.autograd.backward(cross_entropy(model(x), y))
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.sub_(0.05 * parameter.grad)
    model.zero_grad(set_to_none=True)


def compressed(methods: Methods, network: str) -> tuple[nn.Module, Compressors]:
    """After all steps, with training in between and afterwards; made once, and copied for each test."""
    if (key := (repr(methods), network)) not in _COMPRESSED:
        model, compressors, (x, y) = fresh(network), Compressors(methods, seed=0), images(network)
        for epoch in range(1, last_of(methods) + 1):
            compressors.step(epoch, model, x, y)
            train(model, x, y)
        _COMPRESSED[key] = model, compressors
    return copy.deepcopy(_COMPRESSED[key])


_COMPRESSED: dict[tuple[str, str], tuple[nn.Module, Compressors]] = {}


def scores(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(x)
    return found


@every
def test_after_each_step_a_fresh_network_loads_the_saved_state_and_computes_the_same(
    methods: Methods, network: str
) -> None:
    model, compressors, (x, y) = fresh(network), Compressors(methods, seed=0), images(network)
    for epoch in range(1, last_of(methods) + 1):
        compressors.step(epoch, model, x, y)
        train(model, x, y)
        state = {name: value.clone() for name, value in model.state_dict().items()}
        again = Compressors(methods, seed=0).load(fresh(network), state, epochs=epoch)
        assert torch.equal(scores(again, x), scores(copy.deepcopy(model), x))
        assert {name: value.stride() for name, value in again.named_parameters()} == {
            name: value.stride() for name, value in model.named_parameters()
        }


@every
def test_its_plain_weights_are_what_a_successor_starts_from(methods: Methods, network: str) -> None:
    model, compressors = compressed(methods, network)
    x, y = images(network)
    plain = compressors.plain(model.state_dict())
    assert plain.keys() == fresh(network).state_dict().keys()
    successor = load_compressed(fresh(network), plain)
    assert bool(scores(successor, x).isfinite().all())
    train(successor, x, y)
    Compressors(methods, seed=1).step(1, successor, x, y)  # it may be compressed in the same way
    train(successor, x, y)


@every
def test_forward_and_backward_work_and_sizes_are_counted(methods: Methods, network: str) -> None:
    model, compressors = compressed(methods, network)
    x, y = images(network)
    dense, flops = forward_flops(fresh(network), x[:1]), forward_flops(model, x[:1])
    shift = x.clone().requires_grad_()
    torch.autograd.backward(cross_entropy(model.eval()(shift), y))
    assert shift.grad is not None
    assert float(shift.grad.abs().sum()) > 0
    pruned = isinstance(methods[0], ChannelPruning)
    assert flops < 0.75 * dense if pruned else flops <= dense
    bits = [compressors.bits(layer) for layer in layers_of(model).values()]
    assert all(1 <= one <= FLOAT for pair in bits for one in pair)
    assert ((FLOAT, FLOAT) in bits) == (not isinstance(methods[-1], Quantization))
    bitops = forward_bitops(model, x[:1], compressors)
    assert flops / 2 <= bitops <= flops / 2 * FLOAT**2
    assert (bitops == flops / 2 * FLOAT**2) == (not isinstance(methods[-1], Quantization))
    whole = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    assert (stored_bytes(model, compressors) < whole) == any(weight < FLOAT for weight, _ in bits)


@every
def test_it_follows_its_seed_alone_and_keeps_modes_and_random_states(methods: Methods, network: str) -> None:
    x, y = images(network)
    states = []
    for draws in (1, 2):
        model, compressors = fresh(network).train(), Compressors(methods, seed=3)
        torch.manual_seed(draws)
        for epoch in range(1, last_of(methods) + 1):
            compressors.step(epoch, model, x, y)
        assert all(module.training for module in model.modules())
        assert all(parameter.requires_grad for parameter in model.parameters())
        states.append(model.state_dict())
    one, other = states
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


@every
def test_what_is_deployed_computes_the_same(methods: Methods, network: str) -> None:
    model, compressors = compressed(methods, network)
    deployed, (x, _) = copy.deepcopy(model).eval().requires_grad_(False), images(network)
    compressors.deploy(deployed)
    apart = (scores(deployed, x) - scores(model, x)).abs()
    assert float(apart.median()) < 1e-5  # where a value lies on the edge of two steps, floats may choose the other


@every
def test_it_passes_what_a_users_own_is_tried_by(methods: Methods, network: str) -> None:
    x, y = images(network)
    check_compressed(methods, lambda _: fresh(network), x, y, seed=0, where="compression")


def test_bits_of_products_outside_of_layers_are_floats() -> None:
    class Squares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.unused = nn.Linear(6, 4), nn.Linear(6, 4)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.inner(x)
            return found @ found.mT

    model, x = Squares(), torch.rand(1, 3, 6)
    quantizer = Compressors([Quantization(weight_bits=2, activation_bits=8)], seed=0)
    assert forward_bitops(model, x, quantizer) == (3 * 6 * 4 + 3 * 4 * 3) * FLOAT**2
