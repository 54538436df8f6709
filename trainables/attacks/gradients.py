"""Counts the gradients that tell an attack nothing: those that are zero in every pixel, or not finite.

An attack cannot move an image whose gradient is zero, so a network that it is zero of may look robust without being it
(gradient masking, arXiv 1802.00420).
"""

import torch
from torch import Tensor


class GradientCounter:
    """Counts gradients of images, one for each image and pass.

    The counts stay on the device until they are read, so that counting does not wait for it.
    """

    def __init__(self) -> None:
        self._seen = self._passes = self._calls = 0
        self._zero: list[Tensor] = []
        self._not_finite: list[Tensor] = []

    def add(self, gradient: Tensor) -> None:
        """Counts the gradients of one pass (batch, channels, height, width)."""
        if len(gradient) == 0:
            return
        largest = gradient.detach().abs().flatten(1).amax(1)  # NaN where any pixel is
        self._seen += len(gradient)
        self._zero.append((largest == 0).sum())
        self._not_finite.append((~torch.isfinite(largest)).sum())

    def called(self, images: int) -> None:
        """Counts a pass of so many images, with or without a gradient."""
        self._passes += images
        self._calls += 1

    @property
    def calls(self) -> int:
        """Number of passes, one for all of the images that go together."""
        return self._calls

    @property
    def passes(self) -> int:
        """Number of passes, one for each image."""
        return self._passes

    @property
    def seen(self) -> int:
        """Number of gradients."""
        return self._seen

    @property
    def zero(self) -> int:
        """Number of gradients that are zero in every pixel."""
        return sum(int(count) for count in self._zero)

    @property
    def not_finite(self) -> int:
        """Number of gradients with a NaN or an infinite number in any pixel."""
        return sum(int(count) for count in self._not_finite)
