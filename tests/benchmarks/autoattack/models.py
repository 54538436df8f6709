"""Defines two small architectures of the benchmark's own, so that not all networks are Temper's plain one."""

import torch
from torch import Tensor, nn


def strided(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Three strided convolutions and two linear layers without normalization, as MNIST's robust networks are built."""
    channels, height, width = image_shape
    last = -(-height // 4) * -(-width // 4) * 32
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(last, 64), nn.ReLU(), nn.Linear(64, classes),
    )  # fmt: skip


class Block(nn.Module):
    """Residual block of two convolutions with batch normalization and SiLU."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, out, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(out), nn.SiLU(),
            nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out),
        )  # fmt: skip
        self.shortcut = nn.Conv2d(channels, out, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.silu(self.body(x) + self.shortcut(x))


def residual(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Three residual blocks, a mean over all pixels and a linear layer."""
    return nn.Sequential(
        Block(image_shape[0], 12, 2), Block(12, 24, 1), Block(24, 32, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, classes),
    )  # fmt: skip
