"""Networks with one fault each, as studies name them, and some that are unusual but work."""

import threading
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn


class Faulty(nn.Module):
    """A small classifier with hooks for a fault."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        self.body = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        self.head = nn.Linear(4 * height * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(self.body(x))
        return scores


class ColumnsForMany(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        return scores if len(x) == 1 else scores.T


class MixesTheBatch(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x - x.mean(0, keepdim=True) * 0.5)


class BatchStatisticsInEval(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.body[1] = nn.BatchNorm2d(4, track_running_stats=False)


class NeedsTwoInEval(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        if len(x) < 2:
            raise ValueError("give me two")
        return super().forward(x)


class Probabilities(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).softmax(1)


class Sigmoids(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).sigmoid()


class SmallLogits(Faulty):
    """Logits that lie between 0 and 1 for pixels, as a few may by chance."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0.05 + 0.5


class LogProbabilities(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).log_softmax(1)


class ZeroOrMore(Faulty):
    """Scores behind a ReLU may all lie below 1 before training, which says nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).tanh().relu()


class DropoutAlwaysOn(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.head(nn.functional.dropout(self.body(x), 0.5))
        return scores


class NotFinite(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.logarithm = Logarithm()

    def forward(self, x: Tensor) -> Tensor:
        return self.logarithm(super().forward(x))  # type: ignore[no-any-return]


class Logarithm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (-x.abs() - 1).log()


class DetachesItsInput(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class GivesLabels(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argsort(1)


class OneLabel(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).argmax(1)


class RoundsItsInput(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x * 255).to(torch.uint8).float() / 255)


class StepsOnItsInput(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward((x * 16).round() / 16)


class ChangesItsInput(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(2).sub_(1))


class Float64(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.double()


class Float64ThatCasts(Float64):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double())


class RemembersTheBatchSize(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.images = 0

    def forward(self, x: Tensor) -> Tensor:
        self.images = self.images or len(x)
        scores: Tensor = self.head(self.body(x).reshape(self.images, -1))
        return scores


def other_arguments(shape: tuple[int, ...], n: int) -> nn.Module:
    """A function of another signature than a study calls."""
    return Faulty(shape, n)


class NeedsAFile(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        Path("width.nowhere.json").read_text()


class HoldsALock(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.lock = threading.Lock()


class HidesATensor(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.mixing = torch.randn(classes, classes)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) @ self.mixing


class DrawsABuffer(Faulty):
    """Random features, by PyTorch's generator and by NumPy's, that its state_dict lacks, and fixed ones."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.body.register_buffer("order", torch.from_numpy(np.random.permutation(image_shape[-1])), persistent=False)
        self.register_buffer("mixing", torch.randn(classes, classes), persistent=False)
        self.register_buffer("fixed", torch.linspace(0.5, 1, classes), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., self.body.get_buffer("order")]
        return super().forward(x) @ self.get_buffer("mixing") * self.get_buffer("fixed")


class FailsInTraining(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x[:, :, :-1])
        return super().forward(x)


class PythonError(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        kernels: dict[int, int] = {1: 0}
        return super().forward(x) + kernels[len(x)]


class NotFiniteGradient(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + (x - x).sum((1, 2, 3)).sqrt().unsqueeze(1)


class ExitsAsItIsCalled(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1:
            raise SystemExit(2)
        return super().forward(x)


class Prints(Faulty):
    def forward(self, x: Tensor) -> Tensor:
        print("shape", tuple(x.shape))
        return super().forward(x)


class ZeroHead(Faulty):
    """As torchvision's VisionTransformer begins: no gradient passes the head at first."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class UnusedLayer(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.spare = nn.Linear(3, 3)


class NormalizesOnePixel(Faulty):
    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.body.extend([nn.Linear(4 * image_shape[1] * image_shape[2], 8), nn.BatchNorm1d(8)])
        self.head = nn.Linear(8, classes)


class MovesItsChannels(nn.Module):
    """Works in NHWC inside, with a confident head."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.mix, self.head = nn.Linear(image_shape[0], 8), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = 300 * self.head(self.mix(x.permute(0, 2, 3, 1)).relu().mean((1, 2)))
        return scores


class Recurrent(Faulty):
    """Works: its rows go through an LSTM, which nothing compresses."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.rows, self.scores = nn.LSTM(8, 8, batch_first=True), nn.Linear(8, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.scores(self.rows(x[:, 0])[0].mean(1))
        return scores


class PartlyRecurrent(Recurrent):
    """Works: beside its LSTM it has a convolution, which can be pruned."""

    def __init__(self, image_shape: tuple[int, ...], classes: int) -> None:
        super().__init__(image_shape, classes)
        self.wide, self.more = nn.Conv2d(1, 16, 3, padding=1), nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = super().forward(x) + self.more(self.wide(x).relu().mean((2, 3)))
        return scores
