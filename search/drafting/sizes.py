"""Chooses how long recipes train and how many are tried, so that a search takes the hours that it may."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from search.preflight.estimate import Slots, estimate
from search.preflight.workload import Work

FEWEST_IMAGES = 1000  # training images, below which none are left out


@dataclass(frozen=True)
class Size:
    """How much a study does.

    Attributes:
        share: share of the training images that are used, 0–1.
        epochs: epochs of the reference, by which all other schedules are measured.
        trials: number of proposals.
    """

    share: float
    epochs: int
    trials: int

    def images(self, available: int) -> int | None:
        """Return the number of training images to use of so many; None: all."""
        used = max(round(self.share * available), min(FEWEST_IMAGES, available))
        return used if used < available else None


# From the most to the least. A comparison wants a reference that is trained well, so epochs go last.
SIZES = (
    Size(1.0, 50, 60),
    Size(1.0, 30, 60),
    Size(1.0, 30, 40),
    Size(1.0, 20, 40),
    Size(1.0, 20, 24),
    Size(1.0, 12, 24),
    Size(0.5, 20, 24),
    Size(0.5, 12, 24),
    Size(0.25, 12, 24),
    Size(0.25, 12, 20),
    Size(0.1, 12, 20),
    Size(0.1, 8, 20),
    Size(0.05, 8, 16),
)
PLANNED = Size(1.0, 20, 24)  # the size that work is planned at; others follow in proportion


def fitting(works: Sequence[Work], slots: Sequence[Slots], available: int, hours: float) -> tuple[Size, float]:
    """Choose the largest size whose search is expected to end within some hours, or else the smallest.

    Args:
        works: the work of a study of the size `PLANNED`.
        slots: the slots that it runs in, with their measured speeds.
        available: number of training images.
        hours: hours that the search may take.

    Returns:
        The size, and the hours of wall time that are expected of it.
    """
    for size in SIZES:
        expected = estimate(_resized(works, size, available), slots).hours
        if expected <= hours:
            break
    return size, expected


def _resized(works: Sequence[Work], size: Size, available: int) -> list[Work]:
    longer, images = size.epochs / PLANNED.epochs, (size.images(available) or available) / available
    return [
        replace(
            work,
            flops=work.flops * longer * images,
            epochs=work.epochs * longer,
            passes=work.passes * longer * images,
            trials=size.trials if work.role == "proposed" else work.trials,
        )
        for work in works
    ]
