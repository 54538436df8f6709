"""Networks: their known sizes, that each can be pruned, quantized and rebuilt, and what is refused."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from trainables.compression.compressor import Compressors
from trainables.compression.config import ChannelPruning, Quantization
from trainables.compression.pruning import ChannelPruner
from trainables.compute.flops import forward_flops
from trainables.errors import InvalidInput
from trainables.models.build import build, load_compressed
from trainables.models.config import Network

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
        ("def net(image_shape, classes): return nn.Flatten()", "a score for each of 10 classes"),
        ("def net(image_shape, classes): return nn.Linear(5, classes)", r"does not take images of shape \(3, 32, 32\)"),
        (
            "def net(image_shape, classes): return nn.Sequential(nn.Flatten(), nn.Linear(3072, 7))",
            "a score for each of 10 classes",
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
    with pytest.raises(InvalidInput, match="got depth 12, expected 6 n"):
        build(Network(name="wide_resnet", depth=12), CIFAR)
    with pytest.raises(InvalidInput, match="nosuch"):
        build(Network(name="torchvision:nosuch"), CIFAR)
