"""The ONNX file of every kind of layer: it computes what PyTorch computes, for any number of images, or is refused."""

import warnings
from collections import Counter
from collections.abc import Callable

import numpy as np
import onnx
import pytest
import torch
from _pytest.mark import ParameterSet
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence
from torchvision.models import get_model

from tests.support.layer_kinds import CLASSES, KINDS, SHAPE, Images, images, labels, trained_a_little
from trainables.compression.compressor import Compressors
from trainables.compression.config import Quantization
from trainables.compression.quantization import Quantizer
from trainables.compression.weight_layers import left_in_floating_point, weighted_layers, weights_of
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel
from trainables.errors import InvalidInput

NOTHING = Compressors([], seed=0)
EIGHT = Quantization()
FAMILIES = {  # the smallest network of each family that takes so few pixels in seconds
    "squeezenet1_1": 32,
    "mnasnet0_5": 32,
    "shufflenet_v2_x0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_small": 32,
    "regnet_y_400mf": 32,
    "efficientnet_b0": 32,
    "googlenet": 32,
    "densenet121": 32,
    "resnet18": 32,
    "convnext_tiny": 32,
}


def quantized(model: nn.Module, x: Tensor, bits: int) -> Compressors:
    config = Quantization.model_validate({"weight_bits": bits, "activation_bits": bits})
    Quantizer(config, seed=0).step(1, model, x, labels(len(x)))
    return Compressors([config], seed=0)


def apart(content: bytes, model: nn.Module, x: Tensor, *, integer: bool) -> float:
    """The largest difference of scores, as a share of their range."""
    with torch.no_grad():
        expected = model.eval()(x).numpy()
    found = OnnxModel(content, integer=integer).scores(x.numpy())
    return float(np.abs(found - expected).max() / np.ptp(expected))


@pytest.mark.parametrize("kind", KINDS)
def test_the_file_of_every_kind_computes_the_same(kind: str) -> None:
    model = trained_a_little(kind)
    content = to_onnx(model, SHAPE, NOTHING)
    for number in (1, 3, 16):
        assert apart(content, model, images(number, seed=9), integer=True) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_the_quantized_file_of_every_kind_computes_the_same(kind: str, bits: int) -> None:
    model = trained_a_little(kind)
    compressors = quantized(model, images(16), bits)
    content = to_onnx(model, SHAPE, compressors)
    for number in (1, 3, 16):  # one value on the edge of two steps may take the other one
        assert apart(content, model, images(number, seed=9), integer=False) < 5e-3
    assert apart(content, model, images(16, seed=9), integer=True) < 3e-2
    nodes = Counter(node.op_type for node in onnx.load_from_string(content).graph.node)
    left = left_in_floating_point(model, weights=True, inputs=True)
    stored = [f"{name}.{weight}" for name, layer in weighted_layers(model).items() for weight in weights_of(layer)]
    used = [name for name in stored if name != "body.0.dead.weight"]
    again = kind in ("twice", "twice, two normalizations")
    inputs = sum(f"input of {name}" not in left for name in weighted_layers(model)) + again - (kind == "embedding")
    inputs += 2 * (kind == "attention of other sizes")  # its query, key and value are three tensors
    inputs -= kind == "weight norm by a hook"  # where weights are floats, inputs are not rounded by this operator
    assert nodes["QuantizeLinear"] == (inputs if bits <= 8 else 0)
    assert nodes["DequantizeLinear"] == (inputs + len(used) + again if bits <= 8 else 0)


def test_one_convolution_before_two_normalizations_is_folded_into_each() -> None:
    for kind in ("twice", "twice, two normalizations"):
        model = trained_a_little(kind)
        content = to_onnx(model, SHAPE, quantized(model, images(16), 8))
        assert "BatchNormalization" not in {node.op_type for node in onnx.load_from_string(content).graph.node}
        assert apart(content, model, images(16, seed=9), integer=False) < 5e-3


class FixedNumber(nn.Module):
    """A network that keeps the number of images that it was traced with, in one of several ways."""

    def __init__(self, use: Callable[[Tensor, int], Tensor]) -> None:
        super().__init__()
        self.use, self.body = use, Images(nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.body(self.use(x, int(x.shape[0])))
        return found


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda x, n: x.reshape(n, 3, 8, 8), "its file fails on 1 image "),
        (lambda x, n: x / n, "its file gives scores that differ by up to"),
        (lambda x, n: torch.stack([x[i] for i in range(n)]), "its file (fails on 1 image |gives an output of shape)"),
    ],
)
def test_a_network_that_fixes_the_number_of_images_is_refused(use: Callable[[Tensor, int], Tensor], words: str) -> None:
    torch.manual_seed(0)
    advice = r"number of images .* use x\.shape\[0\] in place of len\(x\)"
    with pytest.raises(InvalidInput, match=f"cannot be written as ONNX, since ({words}).*{advice}"):
        to_onnx(FixedNumber(use), SHAPE, NOTHING)


def test_a_network_that_follows_the_advice_on_the_number_of_images_is_exported() -> None:
    def shaped(x: Tensor, n: int) -> Tensor:
        return x.reshape(x.shape[0], 3, 8, 8) + torch.zeros(1, 3, 8, 8).expand(x.shape[0], -1, -1, -1)

    torch.manual_seed(0)
    model = FixedNumber(shaped)
    assert apart(to_onnx(model, SHAPE, NOTHING), model, images(3), integer=True) < 1e-5


def test_a_network_that_draws_random_numbers_is_not_blamed_on_the_number_of_images() -> None:
    torch.manual_seed(0)
    with pytest.raises(InvalidInput, match=r"for 2 images .it draws random numbers, or PyTorch's exporter writes"):
        to_onnx(FixedNumber(lambda x, n: x + torch.rand(n, 1, 1, 1)), SHAPE, NOTHING)


class Packed(nn.Module):
    """A recurrent layer that is given packed rows, whose lengths it packs in one of several ways."""

    def __init__(self, pack: Callable[[Tensor], PackedSequence]) -> None:
        super().__init__()
        self.pack = pack
        self.rows, self.head = nn.GRU(24, 6, batch_first=True), nn.Linear(6, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        outputs, last = self.rows(self.pack(x.transpose(1, 2).flatten(2)))
        found = pad_packed_sequence(outputs, batch_first=True)[0]
        scores: Tensor = self.head(found.mean(1) + last[-1])
        return scores


def by_tensor(x: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, torch.full((x.shape[0],), 8), batch_first=True)


def by_list(x: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, [8] * len(x), batch_first=True)


def by_a_fixed_number(x: Tensor) -> PackedSequence:
    return pack_padded_sequence(x, torch.full((len(x),), 8), batch_first=True)


@pytest.mark.parametrize("pack", [by_list, by_a_fixed_number])
def test_packed_sequences_that_cannot_be_written_are_the_reason_that_is_told(
    pack: Callable[[Tensor], PackedSequence],
) -> None:
    torch.manual_seed(0)
    words = r"since it packs sequences in layer Packed, test_layer_kinds.py line \d+: .*call the layer without packing"
    with pytest.raises(InvalidInput, match=words):
        to_onnx(Packed(pack), SHAPE, NOTHING)


def test_packed_sequences_with_lengths_in_a_tensor_are_written() -> None:
    torch.manual_seed(0)
    model = Packed(by_tensor)
    assert apart(to_onnx(model, SHAPE, NOTHING), model, images(3), integer=True) < 1e-5


def test_pytorchs_fused_attention_is_as_it_was_after_an_export() -> None:
    for enabled in (True, False):
        torch.backends.mha.set_fastpath_enabled(enabled)
        try:
            to_onnx(trained_a_little("transformer"), SHAPE, NOTHING)
            assert torch.backends.mha.get_fastpath_enabled() == enabled
        finally:
            torch.backends.mha.set_fastpath_enabled(True)


# Run in every check; the others by `make networks`.
PECULIAR = ("googlenet", "mnasnet0_5", "shufflenet_v2_x0_5")


def marked(name: str) -> ParameterSet:
    return pytest.param(name, marks=pytest.mark.slow if name in PECULIAR else pytest.mark.families)


@pytest.mark.parametrize("name", [marked(name) for name in FAMILIES])
def test_networks_of_torchvision_are_quantized_and_exported(name: str) -> None:
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of googlenet's initial weights
        settings = {"aux_logits": False} if name == "googlenet" else {}
        model = get_model(name, weights=None, num_classes=10, **settings).train()
    shape = (3, FAMILIES[name], FAMILIES[name])
    x = torch.rand(8, *shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model(x)
        assert apart(to_onnx(model, shape, NOTHING), model, x, integer=True) < 1e-4
        content = to_onnx(model, shape, quantized(model, x, 8))
    assert left_in_floating_point(model, weights=True, inputs=True) == {}
    assert apart(content, model, x, integer=False) < 0.05
    with torch.no_grad():
        labels_of_torch = model(x).argmax(1).numpy()
    assert (OnnxModel(content).scores(x.numpy()).argmax(1) == labels_of_torch).mean() >= 7 / 8
