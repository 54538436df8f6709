"""Small networks for images (n, 3, 8, 8) and 5 classes, each with one kind of layer that has weights, or use of one."""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, relu
from torch.nn.utils import parametrizations

SHAPE = (3, 8, 8)
CLASSES = 5


class Rows(nn.Module):
    """A network of sequences: each row of the image is a step of 24 numbers."""

    def __init__(self, body: nn.Module, width: int = 12) -> None:
        super().__init__()
        self.embed, self.body, self.head = nn.Linear(24, 12), body, nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        found = self.body(self.embed(x.transpose(1, 2).flatten(2)))
        found = found[0] if isinstance(found, tuple) else found
        scores: Tensor = self.head(found.mean(1))
        return scores


class SelfAttention(nn.Module):
    def __init__(self, **settings: int) -> None:
        super().__init__()
        self.norm, self.attention = nn.LayerNorm(12), nn.MultiheadAttention(12, 2, batch_first=True, **settings)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(x)
        found: Tensor = x + self.attention(query=x, key=x, value=x, need_weights=False)[0]
        return found


class CrossAttention(nn.Module):
    """Attention from the rows to an image of half as many features, which needs projections of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 3, kdim=6, vdim=6, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(x, x[..., :6], x[..., 6:])[0]
        return found


class OwnAttention(nn.Module):
    """Attention by hand, which reads the weights of its linear layers without calling them."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(12, 36), nn.Linear(12, 12)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = linear(x, self.qkv.weight, self.qkv.bias).chunk(3, dim=-1)
        found = (q @ k.transpose(1, 2) / 12**0.5).softmax(-1) @ v
        return linear(found, self.proj.weight, self.proj.bias)


class Images(nn.Module):
    """A convolution, the body, and a linear layer."""

    def __init__(self, *body: nn.Module, width: int = 8, bias: bool = True) -> None:
        super().__init__()
        self.stem, self.body = nn.Conv2d(3, 8, 3, padding=1, bias=bias), nn.Sequential(*body)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(self.stem(x)).flatten(2).mean(2))
        return scores


class Reshape(nn.Module):
    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.shape)


class Positions(nn.Module):
    """Rows with a learnt vector for each place."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(8, 12)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = relu(x + self.table(torch.arange(8, device=x.device)))
        return found


class OwnParameter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.matrix = nn.Parameter(torch.randn(12, 12) / 4)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.matrix)


class Twice(nn.Module):
    """One layer that is used twice, on values of different ranges; the batch normalization after it is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(self.conv(3 * relu(self.norm(self.conv(x)))))
        return found


class TwoNorms(nn.Module):
    """One convolution that is used twice, before a batch normalization of its own each time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.one, self.other = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8), nn.BatchNorm2d(8, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.other(self.conv(relu(self.one(self.conv(x)))))
        return found


class Unused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.dead = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.used(x)
        return found


class HeadFirst(nn.Module):
    """A network whose last layer is defined first."""

    def __init__(self) -> None:
        super().__init__()
        self.head, self.hidden, self.stem = nn.Linear(8, CLASSES), nn.Conv2d(8, 8, 3), nn.Conv2d(3, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(relu(self.hidden(relu(self.stem(x)))).mean((2, 3)))
        return scores


def tied() -> nn.Module:
    first, second = nn.Linear(12, 12), nn.Linear(12, 12)
    second.weight = first.weight
    return Rows(nn.Sequential(first, nn.ReLU(), second))


def old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return Images(nn.utils.weight_norm(nn.Conv2d(8, 8, 3)))


KINDS: dict[str, Callable[[], nn.Module]] = {
    "conv1d": lambda: Images(nn.Flatten(2), nn.Conv1d(8, 8, 3, groups=2), nn.BatchNorm1d(8), nn.ReLU()),
    "conv3d": lambda: Images(Reshape(8, 4, 4, 4), nn.Conv3d(8, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU()),
    "conv2d, groups, dilation": lambda: Images(nn.Conv2d(8, 16, 3, dilation=2, groups=8), nn.BatchNorm2d(16), width=16),
    "transposed 1d": lambda: Images(nn.Flatten(2), nn.ConvTranspose1d(8, 6, 4, stride=2), nn.BatchNorm1d(6), width=6),
    "transposed 2d": lambda: Images(nn.ConvTranspose2d(8, 6, 2, stride=2), nn.BatchNorm2d(6), nn.ReLU(), width=6),
    "transposed 2d, groups": lambda: Images(nn.ConvTranspose2d(8, 6, 3, groups=2, output_padding=1, stride=2), width=6),
    "transposed 2d, depthwise": lambda: Images(nn.ConvTranspose2d(8, 8, 2, stride=2, groups=8), nn.ReLU()),
    "transposed 3d": lambda: Images(Reshape(8, 4, 4, 4), nn.ConvTranspose3d(8, 4, 2, stride=2), width=4),
    "linear, batch normalization": lambda: nn.Sequential(
        nn.Flatten(), nn.Linear(192, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, CLASSES)
    ),
    "batch normalization without gain": lambda: Images(nn.BatchNorm2d(8, affine=False), nn.ReLU(), bias=False),
    "attention": lambda: Rows(SelfAttention()),
    "attention with added zeros": lambda: Rows(SelfAttention(add_zero_attn=1)),
    "attention of other sizes": lambda: Rows(CrossAttention()),
    "attention by hand": lambda: Rows(OwnAttention()),
    "transformer": lambda: Rows(nn.TransformerEncoderLayer(12, 2, 20, batch_first=True, dropout=0.0)),
    "transformers": lambda: Rows(
        nn.TransformerEncoder(
            nn.TransformerEncoderLayer(12, 2, 20, batch_first=True, norm_first=True), 2, enable_nested_tensor=False
        )
    ),
    "lstm": lambda: Rows(nn.LSTM(12, 7, batch_first=True, bidirectional=True), width=14),
    "gru": lambda: Rows(nn.GRU(12, 7, num_layers=2, batch_first=True), width=7),
    "embedding": lambda: Rows(Positions()),
    "own parameter": lambda: Rows(OwnParameter()),
    "twice": lambda: Images(Twice()),
    "twice, two normalizations": lambda: Images(TwoNorms()),
    "unused": lambda: Images(Unused()),
    "head first": HeadFirst,
    "tied": tied,
    "weight norm": lambda: Images(parametrizations.weight_norm(nn.Conv2d(8, 8, 3))),
    "spectral norm": lambda: Images(parametrizations.spectral_norm(nn.Conv2d(8, 8, 3)), nn.ReLU()),
    "weight norm by a hook": old_weight_norm,
}


def trained_a_little(kind: str, seed: int = 0) -> nn.Module:
    """A network of a kind, with statistics of batch normalization and gains that are not as they begin."""
    torch.manual_seed(seed)
    model = KINDS[kind]().train()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                nn.init.uniform_(module.weight, -1, 1)
                nn.init.normal_(module.bias)
        for _ in range(3):
            model(images(16))
    return model


def images(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(seed))


def labels(count: int) -> Tensor:
    return torch.arange(count).remainder(CLASSES)
