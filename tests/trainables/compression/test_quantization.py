"""Rounding to few bits: the grid, the gradients, the calibrated ranges and what they cost."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize
from torchvision.models import resnet18

from trainables.attacks.attack import perturb
from trainables.attacks.pgd import PgdAttack
from trainables.compression.calibration import SAMPLE, sampled_inputs
from trainables.compression.compressor import Compressors, layers_of
from trainables.compression.config import Bits, ChannelPruning, Quantization
from trainables.compression.pruning import ChannelPruner
from trainables.compression.quantized_layers import ActivationQuantizer, RoundedInput, WeightQuantizer, fusible
from trainables.compression.size import forward_bitops, stored_bytes
from trainables.compute.flops import measure
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import set_conditions
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

BITS: list[Bits] = [8, 6, 4, 3, 2]
NOTHING = Compressors([], seed=0)
GENERATOR = torch.Generator().manual_seed(0)


def quantize(model: nn.Module, quantization: Quantization, x: torch.Tensor) -> Compressors:
    """Quantize a network in place, and say what did it."""
    quantizer = Compressors([quantization], seed=0)
    quantizer.step(1, model, x, torch.arange(len(x)).remainder(10))
    return quantizer


@pytest.mark.parametrize("bits", [16, *BITS])
def test_weights_lie_on_a_grid_of_their_channel(bits: int) -> None:
    weight = torch.randn(5, 40, generator=GENERATOR) * torch.tensor([0.01, 0.1, 1, 10, 100])[:, None]
    quantizer = WeightQuantizer(weight, bits)
    rounded = quantizer(weight)
    scale = quantizer.share * weight.abs().amax(1) / (2 ** (bits - 1) - 1)
    steps = rounded / scale[:, None]
    assert torch.allclose(steps, steps.round(), atol=2e-2 if bits == 16 else 1e-4)
    assert float(steps.min()) >= -(2 ** (bits - 1)) - 0.01
    assert float(steps.max()) <= 2 ** (bits - 1) - 1 + 0.01
    inside = weight.abs() <= scale[:, None] * (2 ** (bits - 1) - 1)
    assert bool(((rounded - weight).abs() <= scale[:, None] * 0.5001)[inside].all())
    # Never worse than a range that reaches the largest weight.
    whole = copy.deepcopy(quantizer)
    whole.share = torch.ones(5)
    assert bool(((rounded - weight).square().sum(1) <= (whole(weight) - weight).square().sum(1) + 1e-12).all())


def test_the_grid_of_weights_has_one_step_more_below_0_than_above() -> None:
    weight = torch.tensor([[-1.0, 0.5], [0.5, -1.0]])
    quantizer = WeightQuantizer(weight, 2)
    assert quantizer.share.tolist() == pytest.approx([0.5, 0.5])
    assert torch.equal(quantizer(weight), weight)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_range_contains_0_where_all_values_lie_on_one_side(sign: int) -> None:
    sample = sign * torch.linspace(3, 4, 100)
    quantizer = ActivationQuantizer(sample, 8)
    assert int(quantizer.zero_point) == (0 if sign > 0 else 255)
    assert float(quantizer.scale) * 255 == pytest.approx(4, rel=0.06)
    torch.testing.assert_close(quantizer(sample), sample, rtol=0.06, atol=0)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("in_integers", [True, False])
def test_inputs_of_the_deployed_file_are_rounded_as_those_of_the_network(bits: int, in_integers: bool) -> None:
    values = torch.linspace(-2, 3, 1001)
    quantizer = ActivationQuantizer(values[200:700], bits).eval()  # what lies beyond is cut
    scale, zero = float(quantizer.scale), int(quantizer.zero_point)
    deployed = RoundedInput(scale, zero, bits=bits, fusible=in_integers)
    steps = (quantizer(values) / scale).round()
    halves = ((values / scale) % 1 - 0.5).abs() < 1e-3  # which may be rounded either way
    assert torch.equal((deployed(values) / scale).round()[~halves], steps[~halves])


def test_ranges_are_fitted_to_as_many_images_as_the_study_says() -> None:
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), torch.ones(6, 1, 2, 2)
    x[2:] = 100
    quantize(model, Quantization(calibration_examples=2), x)
    rounding = model[1].get_submodule("input_quantizer")
    assert isinstance(rounding, ActivationQuantizer)
    assert float(rounding.scale) * 255 == pytest.approx(1)


def test_the_scale_of_weights_follows_them() -> None:
    weight = torch.randn(3, 16, generator=GENERATOR)
    quantizer = WeightQuantizer(weight, 4)
    assert torch.allclose(quantizer(10 * weight), 10 * quantizer(weight), rtol=1e-5)


@pytest.mark.parametrize("bits", [16, *BITS])
def test_what_is_exported_rounds_bit_for_bit_as_what_was_trained(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has the same gradients, too: what was cut off has none, and what lies on the end of the range has its own."""
    weight = torch.randn(5, 400, generator=GENERATOR) * torch.tensor([0.01, 0.1, 1, 10, 100])[:, None]
    values = torch.cat([torch.randn(4000, generator=GENERATOR).relu(), -torch.rand(400, generator=GENERATOR) / 9])
    for quantizer, given in ((WeightQuantizer(weight, bits), weight), (ActivationQuantizer(values, bits), 2 * values)):
        quantizer.eval()
        given, counted = given.clone().requires_grad_(), torch.randn(given.shape, generator=GENERATOR)
        trained = quantizer(given)
        with monkeypatch.context() as patched:
            patched.setattr(torch.compiler, "is_exporting", lambda: True)
            exported = quantizer(given)
        assert torch.equal(trained, exported)
        there, here = (torch.autograd.grad((one * counted).sum(), given)[0] for one in (trained, exported))
        assert bool((there == 0).any()) or isinstance(quantizer, WeightQuantizer)  # many bits cut no weight off
        torch.testing.assert_close(here, there, rtol=1e-5, atol=0)


@pytest.mark.parametrize("bits", BITS)
def test_activations_lie_on_a_grid_that_has_zero(bits: int) -> None:
    sample = torch.rand(4000, generator=GENERATOR) * 3 - 1
    quantizer = ActivationQuantizer(sample, bits)
    rounded = quantizer(sample)
    assert len(rounded.unique()) <= 2**bits
    assert float(quantizer(torch.zeros(1))) == 0
    assert float((rounded - sample).square().mean()) <= (3 / (2**bits - 1)) ** 2 / 12 * 1.3  # uniform rounding noise


def test_ranges_follow_the_batches_in_training_and_stay_otherwise() -> None:
    quantizer = ActivationQuantizer(torch.linspace(0, 1, 1000), 8).eval()
    first = float(quantizer.scale) * 255
    quantizer(torch.tensor([5.0]))
    assert float(quantizer.scale) * 255 == first
    quantizer.train()
    wanted = first
    for _ in range(3):
        quantizer(torch.tensor([0.5, 5.0]))
        wanted += 0.1 * (5.0 - wanted)
        assert float(quantizer.scale) * 255 == pytest.approx(wanted)
        assert int(quantizer.zero_point) == 0
    quantizer(torch.tensor([-4.0, torch.inf]))  # the end that is a number moves
    assert float(-quantizer.zero_point * quantizer.scale) == pytest.approx(-0.4, abs=float(quantizer.scale))
    assert float(quantizer.scale) * (255 - int(quantizer.zero_point)) == pytest.approx(wanted, rel=0.02)


@pytest.mark.parametrize("bits", [8, 4])
def test_a_quantized_network_learns_from_scratch_as_one_in_floating_point_does(bits: Bits) -> None:
    """With ranges of the untrained network all that training makes larger is cut off, and it stays at chance."""
    data = Data(name="digits", train_size=400, validation_size=200)
    quantization = Quantization(weight_bits=8, activation_bits=bits)
    recipe = Recipe(data=data, model=Network(name="small"), schedule=Schedule(epochs=4, learning_rate=0.05))
    scored, splits = ScoringProtocol(epsilon=0.1, steps=1), load_splits(data)
    clean = [
        run(one, scored, splits, torch.device("cpu")).metrics()["clean_accuracy"]
        for one in (recipe, recipe.model_copy(update={"quantization": quantization}))
    ]
    assert clean[0] > 0.6
    assert clean[1] > clean[0] - 0.1


@pytest.mark.parametrize(
    ("bits", "wanted"),
    [
        ((8, 8), True),
        ((4, 4), True),
        ((6, 2), True),
        ((4, 3), False),
        ((2, 2), False),
        ((16, 8), False),
        ((8, 32), False),
    ],
)
def test_runtimes_compute_in_integers_from_eight_bits_together_on(bits: tuple[int, int], wanted: bool) -> None:
    assert fusible(*bits) is wanted


def test_gradients_go_straight_through_inside_the_range_and_stop_outside() -> None:
    quantizer = ActivationQuantizer(torch.linspace(0, 1, 1000), 3)
    top = float(quantizer.scale) * 7
    x = torch.tensor([0.1 * top, 0.5 * top, 1.5 * top, -0.5], requires_grad=True)
    (quantizer(x) * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.0, 2.0, 0.0, 0.0]
    weight = torch.tensor([[0.3, -0.2, 1.0]], requires_grad=True)
    rounding = WeightQuantizer(weight, 8)
    rounding.share.fill_(1.0)
    rounding(weight).sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.0, 1.0, 1.0]]


def test_first_and_last_layer_stay_at_eight_bits_and_bitops_are_by_hand() -> None:
    torch.manual_seed(0)
    model = build(Network(name="eight_layer"), (1, 28, 28))
    x = torch.rand(8, 1, 28, 28, generator=GENERATOR)
    # Multiply-accumulates, layer by layer: pixels × 9 × in × out, then in × out.
    macs = [784 * 9 * 32, 784 * 9 * 32**2, 196 * 9 * 32 * 64, 196 * 9 * 64**2, 49 * 9 * 64 * 128, 49 * 9 * 128**2]
    macs += [1152 * 256, 256 * 10]
    assert forward_bitops(model, x[:1], NOTHING) == 1024 * sum(macs)
    dense_cost, dense_bytes = measure(model, x[:1]), stored_bytes(model, NOTHING)
    quantizer = quantize(model, Quantization(weight_bits=4, activation_bits=2), x)
    assert [quantizer.bits(layer) for layer in layers_of(model).values()] == [(8, 8)] + [(4, 2)] * 6 + [(8, 8)]
    assert forward_bitops(model, x[:1], quantizer) == 64 * (macs[0] + macs[-1]) + 8 * sum(macs[1:-1])
    assert measure(model, x[:1]) == dense_cost
    weights = [32 * 9, 9 * 32**2, 9 * 32 * 64, 9 * 64**2, 9 * 64 * 128, 9 * 128**2, 1152 * 256, 256 * 10]
    saved = (weights[0] + weights[-1]) * 3 + sum(weights[1:-1]) * 3.5  # bytes: 4 → 1, 4 → 0.5
    extra = 4 * (32 + 32 + 64 + 64 + 128 + 128 + 256 + 10) + 8 * 8  # a share a channel; scale and zero point a layer
    assert stored_bytes(model, quantizer) == dense_bytes - saved + extra


def test_weights_or_activations_alone() -> None:
    model = build(Network(name="small"), (1, 8, 8))
    quantizer = quantize(model, Quantization(weight_bits=32, activation_bits=4), torch.rand(4, 1, 8, 8))
    assert {quantizer.bits(layer) for layer in layers_of(model).values()} == {(32, 8), (32, 4)}
    model = build(Network(name="small"), (1, 8, 8))
    quantizer = quantize(model, Quantization(weight_bits=3, activation_bits=32), torch.rand(4, 1, 8, 8))
    assert {quantizer.bits(layer) for layer in layers_of(model).values()} == {(8, 32), (3, 32)}


@pytest.mark.parametrize("bits", BITS)
def test_a_quantized_network_has_input_gradients_for_the_attack(bits: Bits) -> None:
    torch.manual_seed(0)
    model = build(Network(name="small"), (1, 8, 8)).train()
    x, y = torch.rand(32, 1, 8, 8, generator=GENERATOR), torch.arange(32).remainder(10)
    quantize(model, Quantization(weight_bits=bits, activation_bits=bits), x)
    assert model.training
    adversarial = perturb(PgdAttack(epsilon=0.1, steps=3), model, x, y, torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        before = nn.functional.cross_entropy(model(x), y)
        after = nn.functional.cross_entropy(model(adversarial), y)
    assert float(after) > float(before)


def test_eight_bits_keep_the_labels_of_a_trained_network() -> None:
    set_conditions(1)
    data = Data(name="digits", validation_size=297)
    splits = load_splits(data)
    recipe = Recipe(data=data, model=Network(name="small"), schedule=Schedule(epochs=3, learning_rate=0.05))
    model = run(recipe, ScoringProtocol(epsilon=0.2, steps=1), splits, torch.device("cpu")).model.eval()
    images = torch.from_numpy(splits.validation.images)
    with torch.no_grad():
        before = model(images)
        plain = {name: value.clone() for name, value in model.state_dict().items()}
        images_to_fit = torch.from_numpy(splits.train.images[:256])
        quantizer = quantize(model, Quantization(weight_bits=8, activation_bits=8), images_to_fit)
        after = model(images)
    assert float((before.argmax(1) == after.argmax(1)).float().mean()) >= 0.99
    assert not torch.equal(before, after)
    stripped = quantizer.plain(model.state_dict())
    assert set(stripped) == set(plain)
    assert all(torch.equal(stripped[name], plain[name]) for name in plain)


def test_torchvisions_resnet_is_quantized_and_trains() -> None:
    torch.manual_seed(0)
    model = resnet18(num_classes=10)
    x = torch.rand(4, 3, 32, 32, generator=GENERATOR)
    quantize(model, Quantization(weight_bits=4, activation_bits=4), x)
    assert sum(parametrize.is_parametrized(module, "weight") for module in model.modules()) == 21
    torch.autograd.backward(nn.functional.cross_entropy(model(x), torch.arange(4)))
    assert all(parameter.grad is not None for parameter in model.parameters())
    twin = copy.deepcopy(model)
    assert torch.equal(twin.eval()(x), model.eval()(x))


@pytest.mark.parametrize(("weight_bits", "activation_bits"), [(4, 8), (8, 32), (32, 3)])
def test_a_quantized_network_is_rebuilt_from_its_tensors(weight_bits: Bits, activation_bits: Bits) -> None:
    torch.manual_seed(0)
    network, bits = Network(name="small"), Quantization(weight_bits=weight_bits, activation_bits=activation_bits)
    model, x = build(network, (1, 8, 8)), torch.rand(16, 1, 8, 8, generator=GENERATOR)
    ChannelPruner(ChannelPruning(pruning_ratio=0.5), seed=0).step(1, model, x, torch.arange(16).remainder(10))
    quantizer = quantize(model, bits, x)
    state = model.state_dict()
    again = quantizer.load(build(network, (1, 8, 8)), state)
    assert all(torch.equal(value, state[name]) for name, value in again.state_dict().items())
    assert torch.equal(again.eval()(x), model.eval()(x))


def test_plain_weights_keep_what_a_method_before_has_attached() -> None:
    names = ["parametrizations.weight.original", "parametrizations.weight.0.share", "parametrizations.weight.1.share"]
    state = {f"4.{name}": torch.zeros(1) for name in [*names, "input_quantizer.scale", "bias"]}
    quantizer = Compressors([Quantization()], seed=0)
    assert list(quantizer.plain(state)) == [f"4.{name}" for name in [*names[:2], "bias"]]
    alone = {name: value for name, value in state.items() if name != "4.parametrizations.weight.1.share"}
    assert list(quantizer.plain(alone)) == ["4.weight", "4.bias"]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_networks_of_other_floating_point_numbers_are_quantized_rebuilt_and_deployed(dtype: torch.dtype) -> None:
    def made() -> nn.Module:
        layers = [nn.Conv2d(1, 12, 3), nn.ReLU(), nn.ConvTranspose2d(12, 6, 3), nn.Flatten(), nn.Linear(384, 10)]
        return nn.Sequential(*layers).to(dtype).eval()

    x = torch.rand(4, 1, 8, 8, generator=GENERATOR).to(dtype)
    with torch.no_grad():
        model, precise = made(), made().float()
        precise.load_state_dict(model.state_dict())
        quantizer = quantize(model, Quantization(weight_bits=4, activation_bits=8), x)
        quantize(precise, Quantization(weight_bits=4, activation_bits=8), x.float())
        scores = model(x)
        assert scores.dtype == dtype
        far = float((scores.float() - precise(x.float())).abs().max() / scores.abs().max())
        assert far < (1e-4 if dtype == torch.float64 else 0.1)
        rebuilt = quantizer.load(made(), {name: value.clone() for name, value in model.state_dict().items()})
        assert torch.equal(rebuilt(x), scores)
        quantizer.deploy(model)
        deployed = model(x)
    assert deployed.dtype == dtype
    assert float((deployed - scores).abs().max()) <= (1e-4 if dtype == torch.float64 else 0.05) * float(
        scores.abs().max()
    )


@pytest.mark.parametrize("width", [7, 8, 32])
def test_ranges_are_fitted_to_values_of_all_columns(width: int) -> None:
    """Each column of a map has a value of its own, whose share of the sample is one in so many columns."""
    images = torch.arange(width, dtype=torch.float32).expand(3000, 1, width, width).contiguous()
    layer = nn.Conv2d(1, 1, 1)
    samples, _ = sampled_inputs(nn.Sequential(layer), images)
    (found,) = samples.values()
    assert len(found) == SAMPLE < images.numel()
    shares = torch.bincount(found.long(), minlength=width) / SAMPLE
    assert shares == pytest.approx([1 / width] * width, rel=0.1)
    again, _ = sampled_inputs(nn.Sequential(layer), images)
    assert torch.equal(found, again["0"])
