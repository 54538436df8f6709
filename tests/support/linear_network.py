"""A linear network, of which one knows how far each image is from being labelled otherwise."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainables.attacks.config import Norm


class LinearNetwork(nn.Module):
    """Scores weights · (image − 1/2), one row of weights (classes, pixels) for each class."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5).flatten(1) @ self.weights.T


@dataclass(frozen=True, eq=False)
class Known:
    """A linear network with images, their labels, and how far each is from another class."""

    model: LinearNetwork
    images: Tensor
    labels: Tensor
    distances: Tensor


def known(norm: Norm, *, classes: int = 5, images: int = 200, seed: int = 0) -> Known:
    """Makes a network and images of 16 pixels, far from 0 and 1, that it labels right."""
    generator = torch.Generator().manual_seed(seed)
    model = LinearNetwork(torch.randn(classes, 16, generator=generator))
    x = 0.3 + 0.4 * torch.rand(images, 1, 4, 4, generator=generator)
    with torch.no_grad():
        scores = model(x)
        labels = scores.argmax(1)
    weights = model.weights.detach()
    distances = torch.full((images,), torch.inf)
    for row in range(images):
        for other in range(classes):
            if other != labels[row]:
                apart = weights[labels[row]] - weights[other]
                dual = apart.abs().sum() if norm == "linf" else apart.norm()
                distances[row] = min(distances[row], (scores[row, labels[row]] - scores[row, other]) / dual)
    return Known(model, x, labels, distances)
