"""Small networks for images (1, 8, 8), each with a kind of layer that pruning must handle or leave as it is."""

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

CLASSES = 10


class Normalized(nn.Module):
    """Every normalization, PReLU, transposed and grouped convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.groups = nn.Conv2d(1, 16, 3, padding=1), nn.GroupNorm(4, 16)
        self.up, self.instance, self.slope = nn.ConvTranspose2d(16, 12, 2, 2), nn.InstanceNorm2d(12), nn.PReLU(12)
        self.grouped, self.bare = nn.Conv2d(12, 24, 3, groups=4), nn.LayerNorm(24, elementwise_affine=False)
        self.inner, self.batch, self.layer = nn.Linear(24, 20), nn.BatchNorm1d(20), nn.LayerNorm(20)
        self.head = nn.Linear(20, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.slope(self.instance(self.up(self.groups(self.first(x)).relu())))
        scores: Tensor = self.head(self.layer(self.batch(self.inner(self.bare(self.grouped(x).mean((2, 3)))))))
        return scores


class Scaled(nn.Module):
    """A block as ConvNeXt's: depthwise, LayerNorm over the last dimension, a scale for each channel."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.depthwise = nn.Conv2d(1, 24, 2, 2), nn.Conv2d(24, 24, 3, padding=1, groups=24)
        self.norm, self.wide, self.narrow = nn.LayerNorm(24), nn.Linear(24, 48), nn.Linear(48, 24)
        self.scale, self.head = nn.Parameter(torch.full((24, 1, 1), 0.5)), nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        inner = self.narrow(functional.gelu(self.wide(self.norm(self.depthwise(x).permute(0, 2, 3, 1)))))
        scores: Tensor = self.head((x + self.scale * inner.permute(0, 3, 1, 2)).mean((2, 3)))
        return scores


class Transformer(nn.Module):
    """PyTorch's encoder layer, a class token and embeddings of positions; its own code keeps the width."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 32
        self.patches, self.token = nn.Conv2d(1, 32, 2, 2), nn.Parameter(torch.randn(1, 1, 32))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 17, 32))
        self.layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, dropout=0.0)
        self.head = nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).reshape(len(x), self.width, -1).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.positions
        scores: Tensor = self.head(self.layer(x)[:, 0])
        return scores


class OwnAttention(nn.Module):
    """Attention written by hand, whose code keeps the number of its heads."""

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.of_head = 4, 8
        self.patches, self.qkv, self.back = nn.Conv2d(1, 32, 2, 2), nn.Linear(32, 96), nn.Linear(32, 32)
        self.norm, self.head = nn.LayerNorm(32), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        parts = self.qkv(self.norm(x)).reshape(len(x), -1, 3, self.heads, self.of_head)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        scores: Tensor = self.head((x + self.back(found)).mean(1))
        return scores


class RigidAttention(OwnAttention):
    """Attention whose code takes the width of a head from the width of its input, so that only both could change."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        many, tokens, width = x.shape
        query, key, value = self.qkv(self.norm(x)).reshape(many, tokens, 3, 4, width // 4).permute(2, 0, 3, 1, 4)
        found = (query @ key.transpose(-2, -1)).softmax(-1) @ value
        scores: Tensor = self.head((x + self.back(found.transpose(1, 2).reshape(many, tokens, width))).mean(1))
        return scores


class Plain(nn.Module):
    """Two convolutions and a linear layer, for what is changed below."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))
        return scores


class Unused(Plain):
    """A layer that is never used."""

    def __init__(self) -> None:
        super().__init__()
        self.dead = nn.Conv2d(16, 32, 3)


class AfterHead(Plain):
    """A linear layer that is defined after the one that makes the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(x).relu()).relu().mean((2, 3))
        scores: Tensor = self.head(x * self.gate(x).sigmoid())
        return scores


class Multiplied(nn.Module):
    """A depthwise convolution with two output channels for each input channel."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.depthwise, self.second = nn.Conv2d(16, 32, 3, groups=16), nn.Conv2d(32, 24, 1)
        self.head = nn.Linear(24, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.depthwise(self.norm(self.first(x)).relu()).relu()).relu()
        scores: Tensor = self.head(x.mean((2, 3)))
        return scores


class ComputedWeights(Plain):
    """Weights that are computed from other tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.first = weight_norm(self.first)
        self.third = spectral_norm(nn.Linear(16, 16))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.third(self.second(self.first(x).relu()).relu().mean((2, 3))))
        return scores


class Recurrent(nn.Module):
    """One-dimensional convolutions with a gate that halves the channels, an LSTM and a GRU."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.gated = nn.Conv1d(8, 16, 3, padding=1), nn.BatchNorm1d(16), nn.Conv1d(16, 24, 1)
        self.lstm, self.between = nn.LSTM(12, 10, batch_first=True), nn.Linear(10, 14)
        self.gru, self.head = nn.GRU(14, 9, bidirectional=True), nn.Linear(18, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.glu(self.gated(self.norm(self.first(x[:, 0])).relu()), 1)
        x = self.between(self.lstm(x.transpose(1, 2))[0]).relu()
        scores: Tensor = self.head(self.gru(x.transpose(0, 1))[0][-1])
        return scores


class Volumes(nn.Module):
    """Three-dimensional convolutions, and a convolution that makes the scores."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8)
        self.up, self.head = nn.ConvTranspose3d(8, 6, 2, 2), nn.Conv2d(6, CLASSES, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.norm(self.first(x[:, :, None].expand(-1, -1, 2, -1, -1))).relu()).mean(2)
        scores: Tensor = self.head(x).mean((2, 3))
        return scores


class SeveralHeads(Plain):
    """Scores that add up two linear layers, a matrix product with a parameter, and similarities to prototypes."""

    def __init__(self) -> None:
        super().__init__()
        self.other, self.matrix = nn.Linear(16, CLASSES), nn.Parameter(torch.randn(16, CLASSES))
        self.prototypes = nn.Parameter(torch.randn(CLASSES, 16))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        last, x = self.second(x).mean((2, 3)), x.mean((2, 3))
        alike = functional.normalize(last, dim=1) @ functional.normalize(self.prototypes, dim=1).T
        scores: Tensor = self.head(x) + self.other(x) + x @ self.matrix + alike
        return scores


class Shared(nn.Module):
    """Two layers with one weight and biases of their own, a layer that is used twice, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.one, self.two = (nn.Conv2d(m, 16, 3, padding=1) for m in (1, 16, 16))
        self.two.weight = self.one.weight
        self.twice, self.frozen, self.head = nn.Linear(16, 16), nn.Linear(16, 12), nn.Linear(12, CLASSES)
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        x = self.two(self.one(self.first(x).relu()).relu()).mean((2, 3))
        scores: Tensor = self.head(self.frozen(self.twice(self.twice(x).relu()).relu()).relu())
        return scores


class Tied(nn.Module):
    """Weights that layers make channels with and products, plain and transposed, read the other way round."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.up = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 12, 3, padding=1)
        self.one, self.two, self.queries = nn.Linear(16, 14), nn.Linear(16, 14), nn.Linear(16, 18)
        self.classes = nn.Embedding(CLASSES, 18)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.conv_transpose2d(self.up(self.first(x).relu()).relu(), self.up.weight, padding=1)
        x = torch.mm(self.one(x.mean((2, 3))).relu(), self.one.weight).relu()
        x = nn.functional.linear(self.two(x).relu(), self.two.weight.t())
        scores: Tensor = self.queries(x) @ self.classes.weight.t()
        return scores


class Beside(nn.Module):
    """Outputs of a grouped convolution beside others, so that equal parts of all are not equal parts of its groups."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.grouped = nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=4)
        self.plain, self.shortcut, self.last = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 24, 1), nn.Conv2d(24, 40, 1)
        self.head = nn.Linear(40, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = torch.cat([self.grouped(x), self.plain(x)], 1) + self.shortcut(x)
        scores: Tensor = self.head(self.last(x.relu()).relu().mean((2, 3)))
        return scores


class NormalizedBeside(Beside):
    """The same of group normalization instead of a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Sequential(nn.Conv2d(8, 8, 1), nn.GroupNorm(4, 8))  # type: ignore[assignment]


class Shuffled(nn.Module):
    """Channels that are split, joined and shuffled, as in ShuffleNet; each half of them must have equally many."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.inner = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(8, 12, 1)
        self.depthwise, self.back = nn.Conv2d(12, 12, 3, padding=1, groups=12), nn.Conv2d(12, 8, 1)
        self.last, self.head = nn.Conv2d(16, 20, 1), nn.Linear(20, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        one, two = self.stem(x).chunk(2, 1)
        two = self.back(self.depthwise(self.inner(two).relu()))
        joined = torch.cat([one, two], 1)
        shuffled = joined.reshape(len(x), 2, 8, *joined.shape[2:]).transpose(1, 2).flatten(1, 2)
        scores: Tensor = self.head(self.last(shuffled).relu().mean((2, 3)))
        return scores


class Auxiliary(Plain):
    """Scores of an auxiliary layer too, while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        early = self.first(x).relu()
        scores: Tensor = self.head(self.second(early).relu().mean((2, 3)))
        return (scores, self.extra(early.mean((2, 3)))) if self.training else scores  # type: ignore[return-value]


class Buffered(Plain):
    """A buffer with an entry for each channel, and a fixed tensor that no module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 16).reshape(16, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu() * self.get_buffer("scale")
        scores: Tensor = self.head(self.second(x).relu().mean((2, 3)) * torch.linspace(0.5, 1.5, 16))
        return scores
