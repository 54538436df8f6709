"""Draws networks by number: random compositions of the kinds of layers, connections and heads that people use.

`tests.fuzz.random_networks:network_17` is network 17, as a study names a user's own: the module gives a function for
every such name.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

Draw = random.Random


class Residual(nn.Module):
    """A block whose input is added to its output, after a projection where they differ."""

    def __init__(self, inner: nn.Module, into: int, out: int) -> None:
        super().__init__()
        self.inner, self.project = inner, nn.Identity() if into == out else nn.Conv2d(into, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.inner(x) + self.project(x))


class Dense(nn.Module):
    """A block whose input is concatenated with its output."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.inner(x)], 1)


class SqueezeExcite(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, max(1, width // 4), 1), nn.Conv2d(max(1, width // 4), width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.up(self.down(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x * gate


class Gated(nn.Module):
    """A convolution to twice the channels, of which one half gates the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, 2 * width, 1)

    def forward(self, x: Tensor) -> Tensor:
        one, gate = self.conv(x).chunk(2, 1)
        return cast(Tensor, one * gate.sigmoid())


class Twice(nn.Module):
    """A layer that is used twice."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(self.conv(self.norm(self.conv(x)).relu())))


class Tied(nn.Module):
    """Two layers that share one Parameter."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)
        self.two.weight = self.one.weight

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.two(self.one(x).relu()))


class Scaled(nn.Module):
    """A scale for each channel, which is a parameter of its own."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((width, 1, 1), 0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of images."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


class HandAttention(nn.Module):
    """Self-attention written by hand, with one layer for queries, keys and values."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.qkv, self.out = heads, nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, tokens, width)
        return x + cast(Tensor, self.out(mixed))


class Attention(nn.Module):
    """Self-attention by PyTorch's module."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention, self.norm = nn.MultiheadAttention(width, heads, batch_first=True), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        normed = self.norm(x)
        return x + cast(Tensor, self.attention(normed, normed, normed, need_weights=False)[0])


class Tokens(nn.Module):
    """Turns images into tokens (batch, height × width, channels), mixes them, and averages them."""

    def __init__(self, mix: nn.Module) -> None:
        super().__init__()
        self.mix = mix

    def forward(self, x: Tensor) -> Tensor:
        mixed = self.mix(x.flatten(2).transpose(1, 2))
        return cast(Tensor, (mixed[0] if isinstance(mixed, tuple) else mixed).mean(1))


class Transposed(nn.Module):
    """Convolutions over the sequence of pixels."""

    def __init__(self, width: int, kind: str) -> None:
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, padding=1) if kind == "1d" else nn.ConvTranspose1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(x.flatten(2)).relu().mean(2))


class Whole(nn.Module):
    """A body and a head, with what else a network may hold: an unused layer, a second head, a frozen body."""

    def __init__(self, body: nn.Module, head: nn.Module, width: int, classes: int, extra: str) -> None:
        super().__init__()
        self.body, self.head, self.extra = body, head, extra
        if extra in ("unused", "auxiliary"):
            self.other = nn.Linear(width, classes)
        if extra == "frozen":
            next(body.parameters()).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        features = self.body(x)
        scores = cast(Tensor, self.head(features))
        if self.extra == "auxiliary" and self.training:
            return scores, cast(Tensor, self.other(features.mean((2, 3))))
        return scores


def convolution(draw: Draw, into: int, out: int) -> nn.Module:
    kind = draw.choice(["3", "3", "1", "5", "dilated", "grouped", "depthwise", "multiplied", "separable", "transposed"])
    if kind == "grouped":
        return nn.Conv2d(into, out, 3, padding=1, groups=4)
    if kind == "depthwise":
        return nn.Sequential(nn.Conv2d(into, into, 3, padding=1, groups=into), nn.Conv2d(into, out, 1))
    if kind == "multiplied":
        return nn.Sequential(nn.Conv2d(into, 2 * into, 3, padding=1, groups=into), nn.Conv2d(2 * into, out, 1))
    if kind == "separable":
        return nn.Sequential(nn.Conv2d(into, out, (3, 1), padding=(1, 0)), nn.Conv2d(out, out, (1, 3), padding=(0, 1)))
    if kind == "transposed":
        return nn.ConvTranspose2d(into, out, 3, padding=1)
    if kind == "dilated":
        return nn.Conv2d(into, out, 3, padding=2, dilation=2, bias=False)
    return nn.Conv2d(into, out, int(kind), padding=int(kind) // 2, bias=draw.random() < 0.5)


def normalization(draw: Draw, width: int) -> nn.Module:
    makers: list[Callable[[], nn.Module]] = [
        lambda: nn.BatchNorm2d(width),
        lambda: nn.BatchNorm2d(width),
        lambda: nn.BatchNorm2d(width, affine=False),
        lambda: nn.GroupNorm(4, width),
        lambda: nn.GroupNorm(1, width),
        lambda: nn.InstanceNorm2d(width, affine=True),
        lambda: ChannelNorm(width),
        nn.Identity,
    ]
    return draw.choice(makers)()


def activation(draw: Draw, width: int) -> nn.Module:
    makers: list[Callable[[], nn.Module]] = [
        nn.ReLU,
        nn.ReLU,
        nn.GELU,
        nn.SiLU,
        nn.ELU,
        nn.Hardswish,
        nn.Tanh,
        lambda: nn.PReLU(width),
        lambda: nn.LeakyReLU(0.1),
        lambda: nn.Dropout2d(0.1),
    ]
    return draw.choice(makers)()


def block(draw: Draw, into: int) -> tuple[nn.Module, int]:
    """A block of a body, and the channels that it gives."""
    out = draw.choice([into, 8, 12, 16])
    plain = nn.Sequential(convolution(draw, into, out), normalization(draw, out), activation(draw, out))
    kind = draw.choice(["plain", "plain", "residual", "dense", "excited", "gated", "twice", "tied", "scaled", "normed"])
    if kind == "residual":
        return Residual(plain, into, out), out
    if kind == "dense":
        return Dense(plain), into + out
    if kind == "normed":
        conv: nn.Module = nn.Conv2d(into, out, 3, padding=1)
        return nn.Sequential(weight_norm(conv) if draw.random() < 0.5 else spectral_norm(conv), nn.ReLU()), out
    extra: dict[str, Callable[[int], nn.Module]] = {
        "excited": SqueezeExcite,
        "gated": Gated,
        "twice": Twice,
        "tied": Tied,
        "scaled": Scaled,
    }
    return (nn.Sequential(plain, extra[kind](out)), out) if kind in extra else (plain, out)


def head(draw: Draw, width: int, size: int, classes: int) -> nn.Module:
    """A head for features (batch, width, size, size)."""
    kind = draw.choice(["pooled", "mlp", "conv", "attention", "hand", "encoder", "lstm", "gru", "1d", "transposed 1d"])
    last = nn.Linear(width, classes)
    if kind == "mlp":
        hidden = nn.Linear(width * size * size, 24)
        return nn.Sequential(nn.Flatten(), hidden, nn.BatchNorm1d(24), nn.ReLU(), nn.Linear(24, classes))
    if kind == "conv":
        return nn.Sequential(nn.Conv2d(width, classes, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if kind in ("1d", "transposed 1d"):
        return nn.Sequential(Transposed(width, kind), last)
    if kind in ("lstm", "gru"):
        recurrent = (nn.LSTM if kind == "lstm" else nn.GRU)(width, width, batch_first=True)
        return nn.Sequential(Tokens(recurrent), last)
    heads = 4 if width % 4 == 0 else 1
    mixes: dict[str, Callable[[], nn.Module]] = {
        "attention": lambda: Attention(width, heads),
        "hand": lambda: HandAttention(width, heads),
        "encoder": lambda: nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True, dropout=0.0),
    }
    if kind in mixes:
        return nn.Sequential(Tokens(mixes[kind]()), last)
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)


def network(number: int, image_shape: tuple[int, int, int], classes: int) -> nn.Module:
    """Network `number`: its architecture depends on the number and the shapes alone, its weights on PyTorch's state."""
    draw = Draw(number)
    width, size = 8, image_shape[1]
    layers: list[nn.Module] = [nn.Conv2d(image_shape[0], width, 3, padding=1), nn.ReLU()]
    for _ in range(draw.randint(2, 4)):
        made, width = block(draw, width)
        layers.append(made)
        if size > 2 and draw.random() < 0.6:
            layers.append(draw.choice([nn.MaxPool2d, nn.AvgPool2d])(2))
            size //= 2
        if draw.random() < 0.1 and width % 4 == 0:
            layers.append(nn.ChannelShuffle(4))
    extra = draw.choice(["nothing", "nothing", "nothing", "unused", "auxiliary", "frozen"])
    return Whole(nn.Sequential(*layers), head(draw, width, size, classes), width, classes, extra)


def __getattr__(name: str) -> Callable[..., nn.Module]:
    number = name.removeprefix("network_")
    if not number.isdecimal():
        raise AttributeError(name)
    return partial(network, int(number))
