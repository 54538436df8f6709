"""Networks: their known sizes, that each can be pruned, quantized and rebuilt, and what is refused."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn

from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning, Quantization
from trainables.compression.pruning import ChannelPruner
from trainables.compute.flops import forward_flops
from trainables.config import parse
from trainables.errors import InvalidInput
from trainables.models.build import build, first_output, normalization, to_channels_last
from trainables.models.config import Network
from trainables.models.weights import load_compressed

CIFAR, GREY = (3, 32, 32), (1, 28, 28)
NETWORKS = [
    (Network(name="small"), (1, 8, 8)),
    (Network(name="eight_layer"), GREY),
    (Network(name="eight_layer", normalization=False), CIFAR),
    (Network(name="resnet18"), CIFAR),
    (Network(name="wide_resnet", depth=10, width=2), CIFAR),
    (Network(name="torchvision:resnet18"), CIFAR),
    (Network(name="torchvision:mobilenet_v2"), GREY),
]


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_published_sizes() -> None:
    assert parameters(build(Network(name="resnet18"), CIFAR)) == 11_173_962
    assert parameters(build(Network(name="wide_resnet"), CIFAR)) == 36_479_194
    assert parameters(build(Network(name="wide_resnet", depth=16, width=4), CIFAR)) == 2_748_890
    # 557 million multiply-accumulates for ResNet-18 on 32×32 pixels.
    macs = forward_flops(build(Network(name="resnet18"), CIFAR), torch.rand(1, *CIFAR)) / 2
    assert macs == pytest.approx(0.5556e9, rel=0.005)


@pytest.mark.parametrize("network", [Network(name="resnet18"), Network(name="wide_resnet", depth=16, width=1)])
def test_no_activation_is_shared_between_places(network: Network) -> None:
    model = build(network, CIFAR)
    calls: list[nn.Module] = []
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.register_forward_hook(lambda module, *_: calls.append(module))
    model(torch.rand(1, *CIFAR))
    assert len(calls) == len(set(calls)) > 10


@pytest.mark.parametrize(("network", "shape"), NETWORKS, ids=str)
def test_every_network_is_pruned_quantized_and_rebuilt_from_its_tensors(
    network: Network, shape: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    x, y = torch.rand(4, *shape), torch.arange(4)
    model = build(network, shape)
    dense = forward_flops(model, x[:1])
    ChannelPruner(ChannelPruning(pruning_ratio=0.5, scope="uniform"), seed=0).step(1, model, x, y)
    assert forward_flops(model, x[:1]) < 0.36 * dense
    rebuilt = load_compressed(build(network, shape), model.state_dict())
    assert torch.equal(rebuilt.eval()(x), model.eval()(x))
    quantizer = Compressors([Quantization(weight_bits=8, activation_bits=8)], seed=0)
    quantizer.step(1, model, x, y)
    torch.autograd.backward(nn.functional.cross_entropy(model.train()(x), y))
    assert all(parameter.grad is not None for parameter in model.parameters())
    plain = load_compressed(build(network, shape), quantizer.plain(model.state_dict()))
    assert plain(x).shape == (4, 10)


@pytest.mark.parametrize("name", ["googlenet", "mnasnet0_5", "squeezenet1_1"])
def test_torchvisions_networks_with_peculiarities_are_built_and_loaded_without_a_warning(name: str) -> None:
    """Auxiliary heads, a version of the state_dict, a convolution that makes the scores."""
    shape = (3, 32, 32)
    model = build(Network(name=f"torchvision:{name}"), shape).train()
    assert not [key for key in model.state_dict() if "aux" in key]
    x = torch.rand(2, *shape)
    assert model(x).shape == (2, 10)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    again = load_compressed(build(Network(name=f"torchvision:{name}"), shape), state)
    assert torch.equal(again.eval()(x), model.eval()(x))


@pytest.mark.parametrize("outputs", ["(scores, x)", "[scores, x]", "{'logits': scores, 'aux': x}"])
def test_of_several_outputs_the_first_is_taken(outputs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "several.py").write_text(
        "from torch import nn\nclass Net(nn.Linear):\n    def forward(self, x):\n"
        f"        scores = super().forward(x.flatten(1))\n        return {outputs} if self.training else scores\n"
        "def net(image_shape, classes): return Net(3072, classes)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "several", raising=False)
    model = build(Network(name="several:net"), CIFAR)
    assert model.train()(torch.rand(2, *CIFAR)).shape == (2, 10)
    assert torch.equal(model(torch.ones(1, *CIFAR)), model.eval()(torch.ones(1, *CIFAR)))


class Own(nn.Module):
    """A module of the user's with a parameter of four dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 2, 3, 3))


def test_only_weights_of_two_dimensional_layers_change_their_layout() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Conv3d(2, 4, 3), Own())
    to_channels_last(model)
    assert model.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)
    assert model.get_parameter("1.weight").is_contiguous()
    assert model.get_parameter("2.weight").is_contiguous()


class Several(NamedTuple):
    features: Tensor
    logits: Tensor


@dataclass
class Described:
    features: Tensor
    logits: Tensor


def test_logits_are_taken_by_their_name_and_else_what_comes_first() -> None:
    features, logits = torch.zeros(1, 3), torch.ones(1, 2)
    for given in (
        Several(features, logits),
        Described(features, logits),
        {"features": features, "logits": logits},
        {"out": logits, "aux": features},
        (logits, features),
        [logits],
        logits,
    ):
        assert first_output(nn.Identity(), (), given) is logits
    nothing: dict[str, Tensor] = {}
    assert first_output(nn.Identity(), (), nothing) is nothing


def test_pixels_are_normalized_by_channel() -> None:
    model = build(Network(name="resnet18"), CIFAR, pixels=((0.1, 0.2, 0.3), (0.5, 1.0, 2.0)))
    first = model.get_submodule("0")
    images = torch.full((1, *CIFAR), 0.6)
    assert first(images)[0, :, 0, 0].tolist() == pytest.approx([1.0, 0.4, 0.15])
    assert not first.state_dict()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def net(image_shape, classes): return 3", "gave a int, expected a torch.nn.Module"),
        (
            "def net(image_shape, classes): return nn.Flatten()",
            r"a score for each of 10 classes; it gives \(1, 3072\) for one image, expected \(1, 10\): its last layer",
        ),
        ("def net(image_shape, classes): return nn.Linear(5, classes)", r"does not take images of shape \(3, 32, 32\)"),
        (
            "def net(image_shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(3072, 7))",
            "a score for each of 10 classes",
        ),
        (
            "def net(image_shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)).double()",
            r"its weights are float64 and images are float32: model.float\(\)$",
        ),
        ("net = 3", "expected a function"),
        ("import nosuchmodule", "cannot be imported"),
        ("", "cannot be imported"),
    ],
)
def test_a_users_network_that_does_not_fit_is_refused(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(f"from torch import nn\n{source}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    with pytest.raises(InvalidInput, match=message):
        build(Network(name="theirs:net"), CIFAR)


def test_unknown_networks_and_depths_are_refused() -> None:
    with pytest.raises(ValueError, match="got 'resnet', expected small, eight_layer"):
        Network(name="resnet")
    with pytest.raises(ValueError, match="got depth 12 of a wide_resnet, expected 6 n"):
        Network(name="wide_resnet", depth=12)
    with pytest.raises(InvalidInput, match=r"torchvision:resnet_18 is none of torchvision's .*, such as resnet18"):
        build(Network(name="torchvision:resnet_18"), CIFAR)


@pytest.mark.parametrize("name", ["fcn_resnet50", "fasterrcnn_resnet50_fpn", "swin3d_t"])
def test_networks_that_classify_no_images_are_refused_before_they_load_weights(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"torchvision:{name} is none of torchvision's networks that classify"):
        build(Network(name=f"torchvision:{name}"), CIFAR)


def test_torchvisions_own_checks_are_told_with_the_network_and_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InvalidInput, match=r"vit_b_32 does not take images of shape \(3, 32, 32\) \(Wrong image height"
    ):
        build(Network(name="torchvision:vit_b_32"), CIFAR)

    def refuse(*_: object, **__: object) -> nn.Module:
        raise AssertionError("Input shape indivisible by patch size!")

    monkeypatch.setattr("torchvision.models.get_model", refuse)
    with pytest.raises(
        InvalidInput, match=r"vit_b_32: cannot be built for images of shape \(3, 32, 32\) \(Input shape"
    ):
        build(Network(name="torchvision:vit_b_32"), CIFAR)


@pytest.mark.parametrize(
    ("name", "channels", "mean", "std"),
    [
        ("resnet18", 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ("small", 3, (0.5,), (0.25,)),
        ("torchvision:shufflenet_v2_x0_5", 1, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    ],
)
def test_pixels_are_normalized_as_the_study_says(
    name: str, channels: int, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    """As its weights were trained: a grey image of a network for colours as torchvision's Grayscale(3) makes it."""
    network = Network(name=name, pixel_mean=mean, pixel_std=std)
    model = build(network, (channels, 32, 32), pixels=((0.1,) * channels, (9.0,) * channels)).eval()
    images = torch.rand(2, channels, 32, 32)
    shift, scale = torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1)
    normalized = (images.expand(-1, max(channels, len(mean)), -1, -1) - shift) / scale
    assert isinstance(model, nn.Sequential)
    assert torch.equal(model[0](images), normalized)
    assert torch.equal(model(images), model[1:](normalized))
    assert normalization(network, ((0.1,), (9.0,))) is None
    told = normalization(Network(name=name), ((0.1, 0.25), (9.0, 1.0)))
    assert told is not None
    assert told.startswith("pixels are normalized by mean 0.1, 0.25 and standard deviation 9, 1, of the training im")


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"name": "small", "pixel_mean": [0.5]}, "one of pixel_mean and pixel_std"),
        ({"name": "small", "pixel_mean": [0.5], "pixel_std": [0.0]}, "pixel_std"),
        ({"name": "small", "pixel_mean": [0.5, 0.4], "pixel_std": [0.1]}, "got 2 numbers of pixel_mean and 1 of"),
        ({"name": "mine:net", "pixel_mean": [0.5], "pixel_std": [0.1]}, "a network of yours normalizes pixels"),
        ({"name": "small", "pixel_mean": [float("nan")], "pixel_std": [0.1]}, "pixel_mean"),
    ],
)
def test_numbers_that_normalize_no_pixels_are_refused(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        parse(Network, settings)


def test_as_many_numbers_as_channels_are_expected() -> None:
    with pytest.raises(InvalidInput, match=r"^model.pixel_mean: got 2 numbers for images of 3 channels, expected one"):
        build(Network(name="small", pixel_mean=(0.5, 0.5), pixel_std=(0.1, 0.1)), (3, 8, 8))


def test_lazy_layers_get_their_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def lazy(image_shape: tuple[int, ...], classes: int) -> nn.Module:
        return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(classes))

    monkeypatch.setattr("trainables.models.build.user_function", lambda *_: lazy)
    model = build(Network(name="mine:lazy"), (1, 8, 8), classes=10)
    state = model.state_dict()
    assert state["3.weight"].shape == (10, 4 * 6 * 6)
    assert state["1.num_batches_tracked"] == 0
    assert model.training
