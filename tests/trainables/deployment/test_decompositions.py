"""Operators that PyTorch's exporter lacks: they are computed by others with equal results, and so are exported."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainables.compression.compressor import Compressors
from trainables.deployment.decompositions import DECOMPOSITIONS, Decomposed
from trainables.deployment.onnx_export import to_onnx
from trainables.deployment.onnx_runtime import OnnxModel

SHAPE = (3, 9, 9)
CHANNELS = 8
BY_CHANNEL = [torch.rand(CHANNELS, generator=torch.Generator().manual_seed(number)) + 0.5 for number in range(4)]
PAIRS = torch.rand(4, CHANNELS, CHANNELS, generator=torch.Generator().manual_seed(4))
KERNELS = torch.randn(6, CHANNELS, 4, 6, generator=torch.Generator().manual_seed(5)) / 10

Operator = Callable[[Tensor], Tensor]  # of features (batch, 8, 9, 9)
OPERATORS: dict[str, Operator] = {
    "channel_shuffle": nn.ChannelShuffle(4),
    "channel_shuffle of volumes": lambda x: torch.channel_shuffle(x.unsqueeze(3), 2),
    "native_channel_shuffle": lambda x: torch.native_channel_shuffle(x, 2),
    "rms_norm": lambda x: functional.rms_norm(x.transpose(1, 3), (9, CHANNELS)),
    "rms_norm with a weight": lambda x: functional.rms_norm(x.transpose(1, 3), (CHANNELS,), BY_CHANNEL[0], 0.1),
    "torch.rms_norm": lambda x: torch.rms_norm(x, (9,), None, 0.1),
    "bilinear": lambda x: functional.bilinear(x.mean(2).mT, x.mean(3).mT, PAIRS),
    "bilinear with a bias": lambda x: functional.bilinear(x.mean((2, 3)), x.amax((2, 3)), PAIRS, BY_CHANNEL[0][:4]),
    "instance_norm": lambda x: functional.instance_norm(x, weight=BY_CHANNEL[0], bias=BY_CHANNEL[1]),
    "instance_norm with kept statistics": lambda x: functional.instance_norm(
        x, BY_CHANNEL[0], BY_CHANNEL[1], BY_CHANNEL[2], BY_CHANNEL[3], use_input_stats=False, eps=0.1
    ),
    "mT": lambda x: x @ x.mT,
    "attention": lambda x: functional.scaled_dot_product_attention(x, x[:, 1:2], x, is_causal=True),
    "attention of grouped queries": lambda x: functional.scaled_dot_product_attention(
        x, x[:, :2], x[:, 2:4], x.new_ones(9, 9).tril().bool(), scale=0.5, enable_gqa=True
    ),
    "interpolate": lambda x: functional.interpolate(x, size=(4, 12), mode="bilinear"),
    "interpolate by area": lambda x: functional.interpolate(x, size=(4, 12), mode="area"),
    "interpolate by area, scaled": lambda x: functional.interpolate(x, scale_factor=0.5, mode="area"),
    "conv1d": lambda x: functional.conv1d(x.flatten(2), PAIRS[:, :, :3], padding="same", dilation=(4,)),
    "conv2d, dilated": lambda x: functional.conv2d(x, KERNELS[..., :3, :5], padding="same", dilation=(2, 1)),
    "conv2d, even": lambda x: functional.conv2d(x, KERNELS, None, 1, "same"),
    "conv2d, even, dilated, by group": lambda x: functional.conv2d(
        x, KERNELS[:, :4], padding="same", dilation=3, groups=2
    ),
    "conv2d, without": lambda x: functional.conv2d(x, KERNELS, stride=2, padding="valid"),
    "conv3d": lambda x: functional.conv3d(x.unsqueeze(2), KERNELS.unsqueeze(2), padding="same").flatten(2, 3),
    "avg_pool2d": nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    "avg_pool2d of all pixels": lambda x: functional.avg_pool2d(x, x.size()[2:]),
    "pools of all pixels, in steps": lambda x: (
        functional.avg_pool2d(x, (x.size(2), x.size(3)), stride=(x.size(2), x.size(3)))
        + functional.max_pool2d(x, (x.size(2), x.size(3)), stride=(x.size(2), x.size(3)))
    ),
    "pools of rows": lambda x: (
        functional.max_pool1d(x.mean(2), x.size(3), x.size(3)) + functional.avg_pool1d(x.mean(2), x.size(3), x.size(3))
    ),
    "pools of volumes": lambda x: (
        functional.max_pool3d(x.unsqueeze(2), (1, x.size(2), x.size(3)), (1, x.size(2), x.size(3))).flatten(2, 3)
        + functional.avg_pool3d(x.unsqueeze(2), (1, x.size(2), x.size(3)), padding=(0, 0, 0)).flatten(2, 3)
    ),
    "avg_pool2d of all pixels, by name": lambda x: functional.avg_pool2d(x, kernel_size=x.shape[-1], stride=1),
    "adaptive_avg_pool1d": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 7),
    "adaptive_avg_pool1d, even": lambda x: functional.adaptive_avg_pool1d(x.flatten(2), 27),
    "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d((4, 12)),
    "adaptive_avg_pool2d, one length": nn.AdaptiveAvgPool2d((None, 4)),
    "adaptive_avg_pool2d, even": nn.AdaptiveAvgPool2d(3),
    "adaptive_avg_pool2d of one pixel": lambda x: functional.adaptive_avg_pool2d(x[..., :1, :1], 7),
    "adaptive_avg_pool2d of rows, whose number is read off": lambda x: functional.adaptive_avg_pool2d(
        torch.split(torch.cat([x, x], 2), [x.shape[2], x.shape[2]], 2)[0], (None, 1)
    ),
    "adaptive_avg_pool2d of everything": nn.AdaptiveAvgPool2d(1),
    "adaptive_avg_pool3d": lambda x: functional.adaptive_avg_pool3d(x.unsqueeze(1), (3, 4, 9)),
    "adaptive_max_pool1d": lambda x: functional.adaptive_max_pool1d(x.flatten(2), 7),
    "adaptive_max_pool1d of everything": lambda x: functional.adaptive_max_pool1d(x.flatten(2), 1),
    "adaptive_max_pool2d, even": nn.AdaptiveMaxPool2d((3, 9)),
    "adaptive_max_pool2d": nn.AdaptiveMaxPool2d((4, 12)),
    "max_unpool1d": lambda x: functional.max_unpool1d(
        *functional.max_pool1d(x.flatten(2), 3, return_indices=True), (3,)
    ),
    "max_unpool2d": lambda x: nn.MaxUnpool2d(2)(*functional.max_pool2d(x[..., :8, 1:], 2, return_indices=True)),
    "max_unpool2d with padding": lambda x: functional.max_unpool2d(
        *functional.max_pool2d(x, 3, 2, 1, return_indices=True), (3, 3), stride=(2, 2), padding=(1, 1)
    ),
    "max_unpool2d to a size": lambda x: nn.MaxUnpool2d(2)(
        *functional.max_pool2d(x, 2, return_indices=True), output_size=x.size()
    ),
    "max_unpool3d": lambda x: functional.max_unpool3d(
        *functional.max_pool3d(x.unsqueeze(1), (2, 3, 3), return_indices=True), (2, 3, 3)
    ),
    "adaptive_max_pool3d": lambda x: functional.adaptive_max_pool3d(x.unsqueeze(1), (3, 4, 9)),
}


class Features(nn.Module):
    """A convolution, an operator, and a layer that makes the scores."""

    def __init__(self, use: Operator) -> None:
        super().__init__()
        self.conv, self.use = nn.Conv2d(3, CHANNELS, 3, padding=1), use
        self.head = nn.Linear(use(torch.zeros(1, CHANNELS, 9, 9)).numel(), 5)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.use(self.conv(x)).flatten(1))
        return scores


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")  # PyTorch says so of its own
@pytest.mark.parametrize("name", OPERATORS)
def test_an_operator_and_its_decomposition_are_equal_in_pytorch_and_in_the_file(name: str) -> None:
    torch.manual_seed(0)
    model = Features(OPERATORS[name]).eval()
    x = torch.rand(3, *SHAPE)
    with torch.no_grad():
        expected = model(x)
        with Decomposed():
            assert torch.allclose(model(x), expected, atol=1e-5)
    content = to_onnx(model, SHAPE, Compressors((), seed=0))
    for number in (1, 3):
        assert np.allclose(OnnxModel(content).scores(x[:number].numpy()), expected[:number].numpy(), atol=1e-5)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_every_decomposition_is_tried() -> None:
    used = set()

    class Noted(Decomposed):
        def __torch_function__(self, func: object, types: object, args: object = (), kwargs: object = None) -> object:
            used.add(func)
            return super().__torch_function__(func, types, args, kwargs)

    for use in OPERATORS.values():
        with Noted():
            use(torch.rand(1, CHANNELS, 9, 9))
    assert set(DECOMPOSITIONS) <= used
