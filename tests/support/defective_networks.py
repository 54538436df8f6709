"""Networks with one defect each, by which they look more robust than they are, or attacks fail."""

import torch
from torch import Tensor, nn

from tests.support.linear_network import LinearNetwork


class _Scaled(torch.autograd.Function):
    """Returns its input, and multiplies the gradient by a number for each pixel."""

    @staticmethod
    def forward(context, x: Tensor, factor: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        context.save_for_backward(factor)
        return x.clone()

    @staticmethod
    def backward(context, gradient: Tensor) -> tuple[Tensor, None]:  # type: ignore[no-untyped-def]
        return gradient * context.saved_tensors[0], None


def scaled(x: Tensor, factor: Tensor) -> Tensor:
    """Returns x, whose gradient is multiplied by a factor."""
    result: Tensor = _Scaled.apply(x, factor)
    return result


class Wrapped(nn.Module):
    """A linear network behind or before something else."""

    def __init__(self, network: LinearNetwork) -> None:
        super().__init__()
        self.network = network


class Rounding(Wrapped):
    """Rounds pixels to 32 levels, which has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network((x * 32).round() / 32 + 0 * x)
        return scores


class Noisy(Wrapped):
    """Adds noise to its scores, other noise at each call."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x)
        return scores + 0.1 * torch.randn_like(scores)


class Mixing(Wrapped):
    """Takes the mean over the batch from its scores, as batch normalization without running statistics does."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x)
        return scores - scores.mean(0)


class Neighbours(Wrapped):
    """Adds a part of the scores of the image before, as a reshape does that splits the batch in another place."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x)
        return scores + 0.1 * scores.roll(1, 0)


class NotANumber(Wrapped):
    """Its scores of images that are bright in the first pixel are not numbers."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x)
        return scores.where((x[:, 0, 0, 0] <= 0.6)[:, None], torch.nan)


class Softmax(Wrapped):
    """Gives probabilities in place of scores."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.softmax(self.network(x), 1)


class Saturated(Wrapped):
    """Cuts its scores off where they are large, so that there the gradient is zero."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x)
        return scores.clamp(-0.05, 0.05) + 1e-4 * torch.sign(scores.detach())


class Moving(nn.Module):
    """Its BatchNorm goes on averaging in eval mode."""

    def __init__(self, network: LinearNetwork) -> None:
        super().__init__()
        self.network, self.norm = network, nn.BatchNorm2d(1, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        self.norm.train()
        self.norm(x)
        scores: Tensor = self.network(x)
        return scores


class NotFinite(Wrapped):
    """Its gradient is infinite: that of a square root at 0."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(x) + (x - x).abs().sqrt().sum((1, 2, 3))[:, None]
        return scores


class Reversed(Wrapped):
    """Its gradient points the other way."""

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.network(scaled(x, torch.full_like(x, -1.0)))
        return scores


class FlatOnGrid(Wrapped):
    """Has no gradient at images of 32 levels, and a right one elsewhere: a step from the image itself goes nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        off = ((x * 32 - (x * 32).round()).abs() > 1e-3).float()
        scores: Tensor = self.network(scaled(x, off.detach()))
        return scores


class FlatAround(Wrapped):
    """Has a gradient only at images of 32 levels, so that an attack which begins elsewhere goes nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        on = ((x * 32 - (x * 32).round()).abs() < 0.02).float()
        scores: Tensor = self.network(scaled(x, on.detach()))
        return scores


class FlatBeyond(Wrapped):
    """Has no gradient where any pixel is more than 0.0062 from one of 32 levels."""

    def forward(self, x: Tensor) -> Tensor:
        near = ((x * 32 - (x * 32).round()).abs() / 32).amax((1, 2, 3), keepdim=True) <= 0.0062
        scores: Tensor = self.network(scaled(x, near.float().detach().expand_as(x)))
        return scores
