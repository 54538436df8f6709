"""Loads data sets as arrays: splits the training images once into train and validation, and loads the test apart."""

import hashlib
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainables.data.checks import SHOWN, check_classes, check_left
from trainables.data.config import Data, DataSet
from trainables.data.memory_mapping import chunks, mapped_file, open_mapped, taken
from trainables.data.sources import Arrays, read
from trainables.errors import InvalidInput

# Mean and standard deviation of the training pixels of each channel, the usual ones of each set. For sets that are not
# listed they are computed.
_PIXELS: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "digits": ((0.305,), (0.376,)),
    "fashion_mnist": ((0.286,), (0.353,)),
    "mnist": ((0.1307,), (0.3081,)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar100": ((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    "svhn": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
}
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Examples:
    """The images and labels of one split, as arrays.

    Attributes:
        images: (n, channels, height, width) float32 in [0, 1].
        labels: (n,) int64 class numbers.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.labels)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles images that are memory-mapped as the name of their file, which other processes open themselves."""
        file = mapped_file(self.images)
        if file is None:
            return type(self), (self.images, self.labels)
        return _opened, (file, self.images.shape, str(self.images.dtype), self.labels)

    def tensors(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Returns images and labels on a device.

        On the CPU they share the arrays' memory, and must not be written to.
        """
        return tensor_of(self.images).to(device), tensor_of(self.labels).to(device)


@dataclass(frozen=True)
class Splits:
    """The images that training and scoring see; the test split is not among them, see `load_test`.

    Attributes:
        train: the images to train on.
        validation: the images that recipes are scored on.
        class_names: names of the classes, by their numbers; empty where none are known.
        known_classes: number of classes of all training files, some of which `train_size` may have taken away; 0: the
            images here are all that is known.
    """

    train: Examples
    validation: Examples
    class_names: tuple[str, ...] = ()
    known_classes: int = 0

    @property
    def classes(self) -> int:
        """Number of classes: one more than the largest class number of the training files."""
        return max(self.known_classes, int(max(self.train.labels.max(), self.validation.labels.max())) + 1)

    def name_of(self, number: int) -> str:
        """Returns the name of a class, or its number where it has none."""
        return self.class_names[number] if number < len(self.class_names) else str(number)

    def fingerprint(self) -> str:
        """Returns 16 hex digits of the SHA-256 of every pixel and label."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            for some in chunks(part.images):
                digest.update(part.images[some].tobytes())
            digest.update(part.labels.tobytes())
        return digest.hexdigest()[:16]


def load_splits(data: Data) -> Splits:
    """Loads the train and validation images, from the training files alone.

    Raises:
        InvalidInput: no copy of the data set can be found, or it has fewer images than asked for.
    """
    return divided(read(data, "train"), data)


def divided(found: Arrays, data: Data) -> Splits:
    """Divides what the training files hold into train and validation, class by class.

    Args:
        found: all of it.
        data: says how much is for what.

    Raises:
        InvalidInput: it has fewer images than asked for, or too few of a class.
    """
    from sklearn.model_selection import train_test_split  # late, so that trials start sooner: see `sources`

    images, labels, names = found
    wanted = data.validation_size + (data.train_size or 1)
    if len(labels) and wanted > len(labels):
        trained = "one training image" if data.train_size is None else f"train_size {data.train_size}"
        raise InvalidInput(
            f"data: got validation_size {data.validation_size} and {trained}, "
            f"expected at most {len(labels)} together ({data.name})"
        )
    check_classes(labels, data.validation_size, data.name, names)
    train, validation = train_test_split(
        np.arange(len(labels)), test_size=data.validation_size, random_state=data.split_seed, stratify=labels
    )
    train = train[: data.train_size]
    check_left(labels, train, data.name, names, "validation_size" if data.train_size is None else "train_size")
    return Splits(
        Examples(taken(images, train), np.ascontiguousarray(labels[train])),
        Examples(taken(images, validation), np.ascontiguousarray(labels[validation])),
        names,
        int(labels.max()) + 1,
    )


def load_test(data: DataSet, splits: Splits, key: str = "data") -> Examples:
    """Loads the test split, which only confirmation may use; each call is logged as a warning.

    Args:
        data: the data set.
        splits: the images that the networks are trained on, which these must fit.
        key: the study's key that names the data set.

    Raises:
        InvalidInput: it cannot be read, or does not fit, see `fitting`.
    """
    logger.warning("the test split of %s was opened", data.name)
    return fitting(read(data, "test"), splits, f"{key}: {data.name}, test split")


def fitting(found: Arrays, splits: Splits, where: str) -> Examples:
    """Returns images of another split or data set, once it is sure that networks trained on `splits` can take them.

    Where the classes of both have names, they are matched by them, else by their numbers.

    Args:
        found: the images.
        splits: what the networks are trained on.
        where: the study's key and what it names, for messages.

    Raises:
        InvalidInput: there is no image, or they have another form, or classes that the training images lack.
    """
    shape, expected = found.images.shape[1:], splits.train.images.shape[1:]
    if shape != expected:
        raise InvalidInput(f"{where}: got images of {_form(shape)}, expected {_form(expected)}, as trained on")
    if not len(found.labels):
        raise InvalidInput(f"{where}: got no image, expected some of each class")
    if found.class_names and splits.class_names:
        return Examples(found.images, _renumbered(found, splits.class_names, where))
    if found.labels.max() >= splits.classes:
        raise InvalidInput(
            f"{where}: got class {found.labels.max()}, expected classes 0 to {splits.classes - 1}, as trained on"
        )
    return Examples(found.images, found.labels)


def _renumbered(found: Arrays, names: tuple[str, ...], where: str) -> NDArray[np.int64]:
    """Returns labels with the numbers that the classes have in `names`.

    Raises:
        InvalidInput: it has images of a class that is not among them, or classes that have one name.
    """
    theirs = found.class_names
    if theirs == names:
        return found.labels
    if len(set(theirs)) < len(theirs) or len(set(names)) < len(names):
        raise InvalidInput(f"{where}: got {_listed(theirs)}, expected each class to have a name of its own")
    if unknown := [theirs[one] for one in np.unique(found.labels) if theirs[one] not in names]:
        raise InvalidInput(f"{where}: got {_listed(unknown)}, expected classes that are trained on: {_listed(names)}")
    numbers = {name: number for number, name in enumerate(names)}
    labels: NDArray[np.int64] = np.array([numbers.get(name, -1) for name in theirs], np.int64)[found.labels]
    return labels


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")


def _form(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def pixel_statistics(data: Data, train: Examples) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns means and standard deviations of the pixels of each channel.

    For a known set they are the usual ones, for others they are computed from these images.
    """
    if data.name in _PIXELS:
        return _PIXELS[data.name]
    means, deviations = _moments(train.images)
    deviations = deviations.clip(min=1e-3)
    return tuple(means.round(4).tolist()), tuple(deviations.round(4).tolist())


def _moments(images: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns means and standard deviations of each channel; memory-mapped images are read a part at a time."""
    if mapped_file(images) is None:
        pixels = images.astype(np.float64)
        return pixels.mean(axis=(0, 2, 3)), pixels.std(axis=(0, 2, 3))
    sums, squares = np.zeros(images.shape[1]), np.zeros(images.shape[1])
    for part in chunks(images):
        pixels = images[part].astype(np.float64)
        sums += pixels.sum(axis=(0, 2, 3))
        squares += (pixels**2).sum(axis=(0, 2, 3))
    count = images.size // images.shape[1]
    means = sums / count
    return means, np.sqrt((squares / count - means**2).clip(min=0))


def _opened(path: str, shape: tuple[int, ...], dtype: str, labels: NDArray[np.int64]) -> Examples:
    return Examples(open_mapped(path, shape, dtype), labels)


def tensor_of(array: NDArray[Any]) -> Tensor:
    """Returns a tensor that shares an array's memory, and must not be written to."""
    # Arrays from Ray's object store are read-only, because all trials on the node share them. PyTorch has no read-only
    # tensors, and warns of that once.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)
