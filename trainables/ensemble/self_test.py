"""Tries an ensemble on a linear network, whose exact robustness is known: an attack that fails there is broken."""

import torch
from torch import Tensor, nn

from trainables.ensemble.ensemble import Turn, run_turns
from trainables.errors import TemperError
from trainables.evaluation.config import ThreatModel

IMAGES, SHAPE, CLASSES = 120, (1, 4, 4), 4
CLOSE = 0.05  # share of epsilon by which a distance may miss it, and the image does not count
FAR_BELOW = 0.5  # the same below epsilon for attacks without gradients, which take very long for the last of it


class _Linear(nn.Module):
    """Scores weights · image + bias for images in [0, 1]."""

    def __init__(self, generator: torch.Generator, device: torch.device) -> None:
        super().__init__()
        size = SHAPE[0] * SHAPE[1] * SHAPE[2]
        self.weights = nn.Parameter(torch.randn(CLASSES, size, generator=generator).to(device))

    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5).flatten(1) @ self.weights.T


def check_attacks(turns: tuple[Turn, ...], norm_of: ThreatModel, device: torch.device) -> None:
    """Runs attacks on a linear network, and compares what stands with what must.

    The distance to another class is the lead over it, divided by the dual norm of the difference of weights; images
    whose ball meets the ends of [0, 1] are not used, so that this is exact.

    Args:
        turns: the ensemble.
        norm_of: its norm is tried, with an epsilon of the test's own.
        device: where to compute.

    Raises:
        TemperError: an image stands that can be broken, or is broken that cannot be.
    """
    generator = torch.Generator().manual_seed(0)
    model = _Linear(generator, device)
    epsilon = 0.05 if norm_of.norm == "linf" else 0.15
    images = (0.2 + 0.6 * torch.rand(IMAGES, *SHAPE, generator=generator)).to(device)
    with torch.no_grad():
        labels = model(images).argmax(1)
    distances = exact_distances(model.weights.detach(), images, labels, norm_of.norm)
    gradients = any(turn.white_box for turn in turns)
    below = CLOSE if gradients else FAR_BELOW
    clear = (distances > (1 + CLOSE) * epsilon) | (distances < (1 - below) * epsilon)
    images, labels, distances = images[clear], labels[clear], distances[clear]
    threat_model = ThreatModel(norm=norm_of.norm, epsilon=epsilon)
    stands = torch.from_numpy(run_turns(model, images, labels, threat_model, turns).stands)
    expected = (distances > epsilon).cpu()
    if not bool((stands == expected).all()):
        raise TemperError(
            f"self-test of the attacks: on a linear network of known margins {int(stands.sum())} of {len(stands)} "
            f"images stand, {int(expected.sum())} must: no result of these attacks would mean anything on this device"
        )


def exact_distances(weights: Tensor, images: Tensor, labels: Tensor, norm: str) -> Tensor:
    """Returns how far each image (n, ...) is from the nearest other class of a linear network, without ends of [0, 1].

    Args:
        weights: (classes, pixels).
        images: (n, channels, height, width).
        labels: what the network gives (n,).
        norm: linf or l2.
    """
    scores = (images - 0.5).flatten(1) @ weights.T
    lead = scores.gather(1, labels[:, None]) - scores
    apart = weights[labels][:, None, :] - weights[None]
    dual = apart.abs().sum(2) if norm == "linf" else apart.square().sum(2).sqrt()
    distances = lead / dual.clamp(min=1e-12)
    return distances.scatter(1, labels[:, None], torch.inf).amin(1)
