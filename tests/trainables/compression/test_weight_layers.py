"""Quantization of every kind of layer with weights: what is rounded, what is left, and that it can be loaded again."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.utils import parametrize

from tests.support.layer_kinds import KINDS, HeadFirst, Images, Rows, Twice, images, labels, trained_a_little
from trainables.compression.compressor import Compressors
from trainables.compression.config import Bits, Quantization
from trainables.compression.quantization import Quantizer
from trainables.compression.quantized_layers import ActivationQuantizer, WeightQuantizer
from trainables.compression.weight_layers import left_in_floating_point, weighted_layers
from trainables.errors import InvalidInput

HOOK = "is computed by a hook before each call; the functions of torch.nn.utils.parametrizations can be quantized"
UNSEEN = "was not seen: no image for calibration reaches the layer, or other code reads its weight without calling it"
INSIDE = "is computed inside nn.MultiheadAttention, which reads this layer's weight without calling it"
RECURRENT = "belongs to a recurrent layer (nn.{}), whose weights are left"
# What is left in floating point by kind, where anything is: all else must be quantized.
LEFT = {
    "attention": {"input of body.attention.out_proj": INSIDE},
    "attention with added zeros": {"input of body.attention.out_proj": INSIDE},
    "attention of other sizes": {"input of body.attention.out_proj": INSIDE},
    "attention by hand": {"input of body.qkv": UNSEEN, "input of body.proj": UNSEEN},
    "transformer": {"input of body.self_attn.out_proj": INSIDE},
    "transformers": {f"input of body.layers.{number}.self_attn.out_proj": INSIDE for number in (0, 1)},
    "lstm": {
        f"body.weight_{part}_l0{way}": RECURRENT.format("LSTM") for way in ("", "_reverse") for part in ("ih", "hh")
    },
    "gru": {f"body.weight_{part}_l{layer}": RECURRENT.format("GRU") for layer in (0, 1) for part in ("ih", "hh")},
    "own parameter": {"body.matrix": "belongs to OwnParameter, which is no layer that can be quantized"},
    "unused": {"input of body.0.dead": UNSEEN},
    "weight norm by a hook": {"body.0.weight": HOOK},
}


def quantized(model: nn.Module, weight_bits: Bits = 8, activation_bits: Bits = 8) -> Quantizer:
    quantizer = Quantizer(Quantization(weight_bits=weight_bits, activation_bits=activation_bits), seed=0)
    quantizer.step(1, model, images(16), labels(16))
    return quantizer


def scores(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.eval()(x)
    return found


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(4, 4), (8, 32), (32, 6)])
def test_every_kind_is_quantized_trained_saved_and_loaded(kind: str, weight_bits: Bits, activation_bits: Bits) -> None:
    model, methods = trained_a_little(kind), [Quantization(weight_bits=weight_bits, activation_bits=activation_bits)]
    names, before = model.state_dict().keys(), scores(model, images(4))
    compressors = Compressors(methods, seed=0)
    compressors.step(1, model.train(), images(16), labels(16))
    torch.autograd.backward(cross_entropy(model(images(4)), labels(4)))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(0.01 * parameter.grad)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    after = scores(model, images(4))
    assert not torch.equal(before, after)
    again = Compressors(methods, seed=0).load(trained_a_little(kind, seed=5), state)
    assert torch.equal(scores(again, images(4)), after)
    assert torch.equal(scores(copy.deepcopy(model), images(4)), after)
    told = [compressors.bits(layer) for layer in weighted_layers(model).values()]
    assert told == [compressors.bits(layer) for layer in weighted_layers(again).values()]
    plain = compressors.plain(state)
    assert plain.keys() == names
    trained_a_little(kind).load_state_dict(plain)
    deployed = copy.deepcopy(model).requires_grad_(False)
    compressors.deploy(deployed)
    apart = (scores(deployed, images(4)) - after).abs()
    assert float(apart.median()) < 1e-5  # where a value lies on the edge of two steps, floats may choose the other


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_left_in_floating_point_is_said(kind: str) -> None:
    model = trained_a_little(kind)
    quantizer = quantized(model)
    assert left_in_floating_point(model, weights=True, inputs=True) == LEFT.get(kind, {})
    assert left_in_floating_point(model, weights=False, inputs=False) == {}
    for name, layer in weighted_layers(model).items():
        inputs = 32 if f"input of {name}" in LEFT.get(kind, {}) or isinstance(layer, nn.Embedding) else 8
        assert quantizer.bits(layer) == (32 if f"{name}.weight" in LEFT.get(kind, {}) else 8, inputs), name


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_transposed_convolutions_have_a_scale_for_each_output_channel(groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(8, 12, 3, groups=groups)
    sizes = torch.logspace(-3, 3, 12)
    with torch.no_grad():  # (in, out / groups, …): output channel number g × (out / groups) + o
        layer.weight.mul_(sizes.reshape(groups, 1, -1, 1, 1).expand(-1, 8 // groups, -1, 3, 3).flatten(0, 1))
    weight = layer.weight.detach().clone()
    quantizer = WeightQuantizer(weight, 8, groups=groups)
    integers, scale = quantizer.integers(weight)
    assert (integers.shape, scale.shape) == ((12, 8 // groups, 3, 3), (12,))
    step = scale.reshape(groups, 1, -1, 1, 1).expand(-1, 8 // groups, -1, 3, 3).flatten(0, 1)
    rounded = quantizer(weight)
    assert float(((rounded - weight).abs() / step).median()) <= 0.5
    assert torch.allclose(rounded / step, (rounded / step).round(), atol=1e-3)
    assert bool((scale[1:] > 2 * scale[:-1]).all())


def test_a_layer_that_runs_twice_has_one_range_over_both_uses() -> None:
    torch.manual_seed(0)
    model = Images(Twice())
    seen: list[Tensor] = []
    hook = model.get_submodule("body.0.conv").register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    scores(model, images(16))
    hook.remove()
    quantized(model.train())
    found = model.get_submodule("body.0.conv.input_quantizer")
    expected = ActivationQuantizer(torch.cat([one.flatten() for one in seen]), 8)
    assert torch.equal(found.get_buffer("scale"), expected.scale)
    assert torch.equal(found.get_buffer("zero_point"), expected.zero_point)


class Experts(nn.Module):
    """Gives dark images to one layer and bright ones to another, so that a layer may be called with no image."""

    def __init__(self) -> None:
        super().__init__()
        self.dark, self.bright, self.head = nn.Linear(192, 8), nn.Linear(192, 8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        dark = x.mean(1) < 0.5
        hidden = x.new_zeros(len(x), 8)
        hidden[dark], hidden[~dark] = self.dark(x[dark]), self.bright(x[~dark])
        found: Tensor = self.head(hidden)
        return found


def test_a_layer_that_no_image_for_calibration_reaches_keeps_its_input_in_floating_point() -> None:
    torch.manual_seed(0)
    x = 0.6 + 0.4 * torch.rand(8, 3, 8, 8)
    model, compressors = Experts(), Compressors([Quantization(weight_bits=8, activation_bits=8)], seed=0)
    compressors.step(1, model, x, labels(8))
    assert compressors.left_as_is() == {"input of dark": UNSEEN}
    told = {name: compressors.bits(layer) for name, layer in weighted_layers(model).items()}
    assert told == {"dark": (8, 32), "bright": (8, 8), "head": (8, 8)}
    both = torch.cat([x, 1 - x])
    again = Compressors([Quantization(weight_bits=8, activation_bits=8)], seed=0).load(Experts(), model.state_dict())
    assert torch.equal(scores(again, both), scores(model, both))
    assert torch.equal(scores(model, 1 - x), scores(model, both)[8:])  # the layer with a range is given none here
    reached = Experts()
    compressors.step(1, reached, both, labels(16))
    assert compressors.left_as_is() == {}


def test_tied_weights_stay_tied_and_have_one_quantizer() -> None:
    model = trained_a_little("tied")
    quantized(model, 4, 4)
    first, second = model.get_submodule("body.0"), model.get_submodule("body.2")
    parts = [layer.get_submodule("parametrizations.weight") for layer in (first, second)]
    assert parts[0].get_parameter("original") is parts[1].get_parameter("original")
    assert parts[0].get_submodule("0") is parts[1].get_submodule("0")
    torch.manual_seed(0)
    last = nn.Linear(12, 12)
    ends = nn.Sequential(nn.Flatten(), nn.Linear(192, 12), nn.Linear(12, 12), nn.Linear(12, 12), last)
    ends.get_submodule("2").register_parameter("weight", last.get_parameter("weight"))
    quantizer = quantized(ends, 4, 4)
    told = [quantizer.bits(layer) for layer in weighted_layers(ends).values()]
    assert told == [
        (8, 8),
        (8, 4),
        (4, 4),
        (8, 8),
    ]  # weights tied to the last layer's have 8 bits too


def test_first_and_last_are_the_layers_that_run_first_and_last() -> None:
    torch.manual_seed(0)
    model = HeadFirst()
    quantizer = quantized(model, 3, 5)
    told = {name: quantizer.bits(layer) for name, layer in weighted_layers(model).items()}
    assert told == {"head": (8, 8), "hidden": (3, 5), "stem": (8, 8)}  # the same two, and so nothing is noted
    assert not [name for name in model.state_dict() if name.endswith("noted_bits")]
    other = nn.ModuleDict({"hidden": nn.Conv2d(8, 8, 3), "head": nn.Linear(8, 5), "stem": nn.Conv2d(3, 8, 3)})

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.parts = copy.deepcopy(other)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.parts["head"](self.parts["hidden"](self.parts["stem"](x)).mean((2, 3)))
            return found

    for bits in ((3, 5), (3, 32), (32, 5)):
        network, expected = Network(), [bits, (max(8, bits[0]), max(8, bits[1])), (max(8, bits[0]), max(8, bits[1]))]
        config = Quantization.model_validate({"weight_bits": bits[0], "activation_bits": bits[1]})
        compressors = Compressors([config], seed=0)
        compressors.step(1, network, images(16), labels(16))
        assert [compressors.bits(layer) for layer in weighted_layers(network).values()] == expected
        again = Compressors([config], seed=0).load(Network(), network.state_dict())
        assert [compressors.bits(layer) for layer in weighted_layers(again).values()] == expected
        assert torch.equal(scores(again, images(4)), scores(network, images(4)))
        assert compressors.plain(network.state_dict()).keys() == Network().state_dict().keys()


def test_a_state_of_an_older_version_gets_the_quantizers_that_it_names() -> None:
    """Versions 0.1 and 0.2 saw Conv2d and Linear alone: their first and last are those among them."""
    model = trained_a_little("conv1d")
    state = dict(model.state_dict())
    for name in ("stem", "head"):
        state[f"{name}.parametrizations.weight.original"] = state.pop(f"{name}.weight")
        state[f"{name}.parametrizations.weight.0.share"] = torch.ones(len(state[f"{name}.bias"]))
    again = Compressors([Quantization(weight_bits=4, activation_bits=32)], seed=0).load(model, state)
    told = {name: Quantizer(Quantization(), seed=0).bits(layer) for name, layer in weighted_layers(again).items()}
    assert told == {"stem": (8, 32), "body.1": (32, 32), "head": (8, 32)}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(8, 32), (32, 8)])
@pytest.mark.parametrize("kind", ["conv1d", "weight norm by a hook"])
def test_weights_that_are_not_finite_are_refused_by_the_layers_name(
    value: float, weight_bits: Bits, activation_bits: Bits, kind: str
) -> None:
    model = trained_a_little(kind)
    layer, name = ("body.1", "weight") if kind == "conv1d" else ("body.0", "weight_v")
    with torch.no_grad():
        model.get_submodule(layer).get_parameter(name)[1, 0, 0] = value
    with pytest.raises(InvalidInput, match=rf"quantization: layer {layer}: .* of \d+ values are NaN or infinite"):
        quantized(model, weight_bits, activation_bits)


def test_weights_whose_errors_overflow_are_refused() -> None:
    model = trained_a_little("conv1d")
    with torch.no_grad():
        model.get_submodule("body.1").get_parameter("weight")[1] *= 1e30
    with pytest.raises(InvalidInput, match=r"layer body\.1: no scale fits its weights: values of up to .*e\+29"):
        quantized(model, 8, 32)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_inputs_that_no_range_fits_are_refused_by_the_layers_name(value: float) -> None:
    model = trained_a_little("conv1d")
    with torch.no_grad():
        model.get_submodule("body.2").get_parameter("bias")[3] = value
    with pytest.raises(InvalidInput, match=r"quantization: layer head: no range fits its input: 16 of 128 values"):
        quantized(model, 32, 8)


def test_a_channel_of_zeros_and_constant_inputs_have_a_scale() -> None:
    weight = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    weight[1] = 0
    quantizer = WeightQuantizer(weight, 4)
    integers, scale = quantizer.integers(weight)
    assert bool((scale > 0).all())
    assert not integers[1].any()
    assert torch.equal(quantizer(weight)[1], torch.zeros(10))
    for constant in (0.0, 3.0, -2.0):
        rounding = ActivationQuantizer(torch.full((100,), constant), 4)
        assert float(rounding.scale) > 0
        assert float(rounding(torch.tensor(constant))) == pytest.approx(constant)


def test_a_fused_weight_norm_is_rounded_after_it_and_its_state_is_kept() -> None:
    model = trained_a_little("spectral norm").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    quantized(model, 4, 4)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items() if name[:4] == "body")
    layer = model.get_submodule("body.0")
    assert [type(step).__name__ for step in layer.get_submodule("parametrizations.weight").children()] == [
        "_SpectralNorm",
        "WeightQuantizer",
    ]
    assert parametrize.is_parametrized(layer, "weight")


class Waves(nn.Module):
    """A linear layer of complex numbers between real ones."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(12, 12, dtype=torch.cfloat)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.inner(torch.fft.fft(x)).abs())


def test_layers_of_complex_numbers_stay_as_they_are_and_are_named() -> None:
    torch.manual_seed(0)
    model = Rows(Waves())
    quantizer = quantized(model)
    reason = "is of complex numbers, which are not rounded"
    assert quantizer.left_as_is() == {"body.inner.weight": reason, "input of body.inner": reason}
    assert quantizer.bits(model.get_submodule("body.inner")) == (32, 32)
    assert quantizer.bits(model.embed) == (8, 8)
    compressors = Compressors([Quantization()], seed=0)
    assert torch.equal(scores(compressors.load(Rows(Waves()), model.state_dict()), images(4)), scores(model, images(4)))


def test_inputs_may_be_given_by_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(12, 12)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.inner(input=x)
            return found

    torch.manual_seed(0)
    model = Rows(Named())
    quantizer = quantized(model, 32, 2)
    assert quantizer.bits(model.get_submodule("body.inner")) == (32, 2)
    seen: list[Tensor] = []
    model.get_submodule("body.inner").register_forward_pre_hook(
        lambda layer, given, named: seen.append(named["input"]), with_kwargs=True
    )
    scores(model, images(16))
    assert len(set(seen[0].flatten().tolist())) <= 4
