"""Defines residual networks for small images: ResNet-18 with the stem of its CIFAR version, and wide ResNets."""

from collections.abc import Sequence

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Residual block of two 3×3 convolutions (arXiv 1512.03385, figure 5); each activation is a module of its own."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = _conv3(inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = _conv3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.act1, self.act2 = nn.ReLU(), nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(_conv1(inputs, outputs, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.norm2(self.conv2(self.act1(self.norm1(self.conv1(x)))))
        activated: Tensor = self.act2(out + self.shortcut(x))
        return activated


class WideBlock(nn.Module):
    """Pre-activation block (arXiv 1605.07146, figure 1) with norm and ReLU before each of its two 3×3 convolutions."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), _conv3(inputs, outputs, stride)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), _conv3(outputs, outputs)
        self.act1, self.act2 = nn.ReLU(), nn.ReLU()
        same = stride == 1 and inputs == outputs
        self.shortcut: nn.Module | None = None if same else _conv1(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        ready: Tensor = self.act1(self.norm1(x))
        out: Tensor = self.conv2(self.act2(self.norm2(self.conv1(ready))))
        return out + (x if self.shortcut is None else self.shortcut(ready))


def resnet18(channels: int, classes: int) -> nn.Sequential:
    """Builds ResNet-18 (arXiv 1512.03385) with a 3×3 stem and no first pooling, for images of about 32×32 pixels."""
    stem = nn.Sequential(_conv3(channels, 64), nn.BatchNorm2d(64), nn.ReLU())
    stages = _stages(BasicBlock, 64, [64, 128, 256, 512], blocks=2)
    return nn.Sequential(stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


def wide_resnet(channels: int, classes: int, depth: int, width: int) -> nn.Sequential:
    """Builds WRN-depth-width (arXiv 1605.07146): three stages of 16, 32 and 64 times width channels.

    Raises:
        ValueError: the depth is not 6 n + 4.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"got depth {depth}, expected 6 n + 4 (10, 16, 22, 28, …)")
    last = 64 * width
    stages = _stages(WideBlock, 16, [16 * width, 32 * width, last], blocks=blocks)
    head = [nn.BatchNorm2d(last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, classes)]
    return nn.Sequential(_conv3(channels, 16), *stages, *head)


def _stages(
    block: type[BasicBlock] | type[WideBlock], inputs: int, outputs: Sequence[int], *, blocks: int
) -> list[nn.Sequential]:
    """Builds the stages of a network from blocks; each stage but the first halves the image in its first block."""
    stages = []
    for number, wide in enumerate(outputs):
        first = block(inputs, wide, 1 if number == 0 else 2)
        stages.append(nn.Sequential(first, *(block(wide, wide, 1) for _ in range(blocks - 1))))
        inputs = wide
    return stages


def _conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)


def _conv1(inputs: int, outputs: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
