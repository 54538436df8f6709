"""Keeps a few images beside what the attack made of them, for people to look at; imports no torch.

The scores of a trial are of all validation images. These are the first few of them, in 8 bits a pixel: enough to be
seen, too coarse to be scored.
"""

import io
import zipfile
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from trainables.storage import Folder

FILE = "attacked.npz"  # in the folder of a trial
MOST = 8  # images that are kept
LARGEST = 96  # pixels of a side that are kept; larger images are made smaller


@dataclass(frozen=True, eq=False)
class AttackedImages:
    """Some images, what the attack made of them, and what a network answers to both.

    Attributes:
        images: (n, channels, height, width) as they are, 0–255.
        attacked: (n, channels, height, width) under attack, 0–255; one that was answered wrongly before is as it was.
        labels: (n,) their classes.
        answers: (n,) what the network answers to the images as they are.
        attacked_answers: (n,) what it answers to them under attack.
    """

    images: NDArray[np.uint8]
    attacked: NDArray[np.uint8]
    labels: NDArray[np.int64]
    answers: NDArray[np.int64]
    attacked_answers: NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.labels)
        if self.images.ndim != 4 or self.attacked.shape != self.images.shape:
            raise ValueError(
                f"images {self.images.shape} and {self.attacked.shape}, expected two times the same (n, c, h, w)"
            )
        for name in ("images", "answers", "attacked_answers"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"{name}: got {len(getattr(self, name))}, expected {count}, as there are labels")

    def write(self, trial: Folder) -> None:
        """Write them into a trial's folder. Raises OSError where the storage takes nothing."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **{one.name: getattr(self, one.name) for one in fields(self)})
        trial.write(FILE, buffer.getvalue())

    @classmethod
    def read(cls, trial: Folder) -> Self | None:
        """Read what a trial has kept; None where it has kept nothing, as older versions did, or the file is torn."""
        try:
            with np.load(io.BytesIO(trial.read(FILE)), allow_pickle=False) as kept:
                return cls(**{one.name: kept[one.name] for one in fields(cls)})
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
            return None


def in_a_row(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images (n, channels, height, width) side by side, as (height, n × width, 1 or 3), which can be shown.

    Of images that have neither one channel nor three it is the channels' mean.
    """
    if images.shape[1] not in (1, 3):
        images = np.asarray(images.mean(axis=1, keepdims=True).round(), dtype=np.uint8)
    return images.transpose(2, 0, 3, 1).reshape(images.shape[2], -1, images.shape[1])
