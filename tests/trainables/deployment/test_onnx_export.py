"""The ONNX file: that it computes what was trained, what it holds, and that it runs."""

import sys
from collections import Counter

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from trainables.checkpoints.trained_model import TrainedModel
from trainables.compression.compressor import Compressors, layers_of
from trainables.compression.config import Bits, ChannelPruning, NoCompression, Quantization
from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel, agreement
from trainables.errors import InvalidInput
from trainables.evaluation.config import ScoringProtocol
from trainables.execution.pipeline import set_conditions
from trainables.execution.standalone import run
from trainables.models.build import build
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

DATA = Data(name="digits", validation_size=500)
SHAPE = (1, 8, 8)
QUANTIZER = Compressors([Quantization()], seed=0)  # it deploys by what it finds in a network, of any bits
QUICK = ScoringProtocol(epsilon=0.2, steps=1, examples=10, progress_steps=1, progress_examples=10)
BASE = Recipe(data=DATA, model=Network(name="small"), schedule=Schedule(epochs=2, learning_rate=0.05))


@pytest.fixture(scope="module")
def splits() -> Splits:
    set_conditions(1)
    return load_splits(DATA)


@pytest.fixture(scope="module")
def base(splits: Splits) -> TrainedModel:
    return run(BASE, QUICK, splits, torch.device("cpu")).trained()


def batch(images: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(images, *SHAPE), torch.arange(images).remainder(10)


def tuned(splits: Splits, base: TrainedModel, *, bits: tuple[Bits, Bits] | None, pruned: bool) -> nn.Module:
    """The base, compressed and trained for an epoch."""
    recipe = Recipe(
        data=DATA,
        model=BASE.model,
        base=BASE,
        compression=ChannelPruning(pruning_ratio=0.5) if pruned else NoCompression(),
        quantization=None if bits is None else Quantization(weight_bits=bits[0], activation_bits=bits[1]),
        schedule=Schedule(epochs=1, learning_rate=0.02),
    )
    return run(recipe, QUICK, splits, torch.device("cpu"), base).model


@pytest.mark.parametrize(
    ("bits", "pruned"),
    [((8, 8), False), ((8, 8), True), ((4, 8), True), ((8, 4), True), ((2, 2), True), ((16, 16), True)],
)
def test_the_file_labels_as_the_quantized_model(
    bits: tuple[Bits, Bits], pruned: bool, splits: Splits, base: TrainedModel
) -> None:
    model, images = tuned(splits, base, bits=bits, pruned=pruned), splits.validation.images
    content = to_onnx(model, SHAPE, QUANTIZER)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    assert agreement(OnnxModel(content), model, images) >= 0.995
    assert agreement(OnnxModel(content, integer=False), model, images) >= 0.995
    right = OnnxModel(content).scores(images).argmax(1) == splits.validation.labels
    assert right.mean() > 0.7


@pytest.mark.parametrize("pruned", [False, True])
def test_an_unquantized_file_gives_the_same_scores(pruned: bool, splits: Splits, base: TrainedModel) -> None:
    model, images = tuned(splits, base, bits=None, pruned=pruned).eval(), splits.validation.images[:7]
    with torch.no_grad():
        expected = model(torch.from_numpy(images)).numpy()
    assert np.allclose(OnnxModel(to_onnx(model, SHAPE, QUANTIZER)).scores(images), expected, atol=1e-4)


def test_a_quantized_file_holds_bytes(splits: Splits, base: TrainedModel) -> None:
    small = to_onnx(tuned(splits, base, bits=(8, 8), pruned=False), SHAPE, QUANTIZER)
    dense = to_onnx(tuned(splits, base, bits=None, pruned=False), SHAPE, QUANTIZER)
    graph = onnx.load_from_string(small).graph
    operators = Counter(node.op_type for node in graph.node)
    assert operators["QuantizeLinear"] == 6  # one a layer's input
    assert operators["DequantizeLinear"] == 12  # and one a layer's weights
    assert operators["BatchNormalization"] == operators["Identity"] == 0
    arrays = [numpy_helper.to_array(tensor) for tensor in graph.initializer]
    weights = [array for array in arrays if array.ndim > 1]
    assert {array.dtype for array in weights} == {np.dtype(np.uint8)}
    assert sum(array.size for array in weights) == 9 * (32 + 32 * 32 + 32 * 64 + 64 * 64) + 256 * 64 + 64 * 10
    assert len(small) < 0.3 * len(dense)


@pytest.mark.parametrize("bits", [2, 5, 8])
def test_stored_weights_are_the_trained_ones_bit_for_bit(bits: Bits) -> None:
    model = build(Network(name="small", normalization=False), SHAPE)
    Compressors([Quantization(weight_bits=bits, activation_bits=bits)], seed=0).step(1, model, *batch(16))
    tensors = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in onnx.load_from_string(to_onnx(model, SHAPE, QUANTIZER)).graph.initializer
    }
    for name, layer in layers_of(model).items():
        stored, scale = (tensors[f"{name}.parametrizations.weight.0.{part}"] for part in ("stored", "scale"))
        assert stored.dtype == np.uint8
        weight = (stored.astype(np.float32) - 128) * scale.reshape(-1, *[1] * (stored.ndim - 1))
        assert np.array_equal(weight, layer.weight.detach().numpy())


def test_sixteen_bits_are_stored_as_the_floats_that_they_stand_for() -> None:
    model = build(Network(name="small", normalization=False), SHAPE)
    Compressors([Quantization(weight_bits=16, activation_bits=16)], seed=0).step(1, model, *batch(16))
    graph = onnx.load_from_string(to_onnx(model, SHAPE, QUANTIZER)).graph
    assert not {"QuantizeLinear", "DequantizeLinear"} & {node.op_type for node in graph.node}
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for name, layer in layers_of(model).items():
        assert np.array_equal(tensors[f"{name}.parametrizations.weight.0.stored"], layer.weight.detach().numpy())


def test_folding_turns_signs_and_leaves_what_has_no_opposite() -> None:
    torch.manual_seed(0)
    model, (x, y) = build(Network(name="small"), SHAPE), batch(64)
    for norm in (module for module in model.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.weight, -1, 1)
        nn.init.normal_(norm.bias)
    second = list(layers_of(model).values())[1]
    with torch.no_grad():
        second.weight[0].fill_(0.001)
        second.weight[0, 0, 0, 0] = -1.0
        model.get_submodule("5").get_parameter("weight")[0] = -0.7
    Compressors([Quantization()], seed=0).step(1, model, x, y)
    for layer in layers_of(model).values():  # nothing is cut, and so no integer is -128 …
        layer.get_submodule("parametrizations.weight.0").get_buffer("share").fill_(1)
    second.get_submodule("parametrizations.weight.0").get_buffer("share")[0] = 127 / 128  # … but this one
    assert float(second.weight.detach().min()) == pytest.approx(-1)
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    content = to_onnx(model, SHAPE, QUANTIZER)
    nodes = Counter(node.op_type for node in onnx.load_from_string(content).graph.node)
    assert nodes["BatchNormalization"] == 1
    apart = np.abs(OnnxModel(content, integer=False).scores(x.numpy()) - expected)
    assert float(np.median(apart)) < 1e-5  # where a value lies on the edge of two steps, floats may choose the other


def test_latency_is_positive_and_ordered(splits: Splits, base: TrainedModel) -> None:
    deployed = OnnxModel(to_onnx(tuned(splits, base, bits=(8, 8), pruned=True), SHAPE, QUANTIZER), threads=1)
    for images in (1, 32):
        took = deployed.latency(splits.validation.images[:images], calls=20, warm_up=3)
        assert 0 < took.p50 <= took.p95 < 1000
        assert (took.images, took.threads) == (images, 1)


def test_what_onnx_has_no_words_for_is_refused_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    odd = nn.Sequential(nn.Conv2d(1, 2, 3), nn.FractionalMaxPool2d(2, 4), nn.Flatten(), nn.Linear(32, 3))
    with pytest.raises(InvalidInput, match=r"cannot be written as ONNX .*fractional_max_pool2d") as refused:
        to_onnx(odd, SHAPE, QUANTIZER)
    assert "\n" not in str(refused.value)
    assert capfd.readouterr().out == ""


class Spectrum(nn.Module):
    """An operator that ONNX has under another form alone, called in a user's layer."""

    def forward(self, x: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.fft2(x).real
        return spectrum


class Failing(nn.Module):
    """A layer whose own code fails while its operators are recorded."""

    def forward(self, x: Tensor) -> Tensor:
        raise ValueError("no good")


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Spectrum(), r"\('?Exporting the operator 'aten::fft_fft2' .*\) in layer 1\.0 \(Spectrum\), "),
        (nn.FractionalMaxPool2d(2, 4), r"'aten::fractional_max_pool2d' .*\) in layer 1\.0 \(FractionalMaxPool2d\); "),
        (Failing(), r"\(no good\) in layer 1\.0 \(Failing\), "),
    ],
    ids=lambda one: type(one).__name__,
)
def test_a_refusal_names_the_layer_and_what_to_do(layer: nn.Module, reason: str) -> None:
    odd = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Sequential(layer), nn.Flatten())
    line = "" if isinstance(layer, nn.FractionalMaxPool2d) else r"test_onnx_export\.py line \d+; "
    with pytest.raises(InvalidInput, match=reason + line + "compute it by other operators"):
        to_onnx(odd, SHAPE, QUANTIZER)


def test_a_file_that_is_none_and_images_of_another_shape_are_refused(splits: Splits) -> None:
    with pytest.raises(InvalidInput, match="onnxruntime refuses the file"):
        OnnxModel(b"no model")
    deployed = OnnxModel(to_onnx(build(BASE.model, SHAPE), SHAPE, QUANTIZER))
    with pytest.raises(InvalidInput, match=r"fails on 2 images of shape \(1, 9, 9\)"):
        deployed.scores(np.zeros((2, 1, 9, 9), np.float32))


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InvalidInput, match=r"needs onnxruntime, .* pip install onnx onnxruntime"):
        to_onnx(build(BASE.model, SHAPE), SHAPE, QUANTIZER)
