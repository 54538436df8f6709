"""Reads data sets: the named ones, a folder of images, and the user's own function.

scikit-learn and torchvision are imported only where a set is read. The process of a trial reads none, because it is
given the arrays, and without the two packages it starts 2.5 s sooner (measured).
"""

import gzip
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trainables.data.checks import check_form, checked_values
from trainables.data.config import DataSet
from trainables.data.image_folder import class_names, read_image_folder
from trainables.data.memory_mapping import data_root
from trainables.data.user_data import arrays_of, class_names_of, drawn_alike, floats_of
from trainables.errors import InvalidInput
from trainables.user_code import is_reference, user_function
from trainables.user_errors import misfit, reported
from trainables.user_path import user_path

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
DIGITS_TEST_SIZE = 300
Split = Literal["train", "test"]
GARMENTS = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"
)  # fmt: skip


class Arrays(NamedTuple):
    """The images of one split.

    Attributes:
        images: (n, channels, height, width).
        labels: (n,) class numbers.
        class_names: names of the classes, by their numbers; empty where none are known.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    class_names: tuple[str, ...] = ()


def read(data: DataSet, split: Split) -> Arrays:
    """Reads the images and labels of one split, and opens no file of the other split.

    Returns:
        Images as float32 in [0, 1], and class numbers as int64, both contiguous.

    Raises:
        InvalidInput: no copy of the data set can be found, or it does not have that form.
    """
    if data.name == "image_folder":
        assert data.path is not None
        assert data.image_size is not None
        root = user_path(data.path, "data.path")
        names = class_names(root)
        return Arrays(*read_image_folder(root, split, data.image_size, names), names)
    if is_reference(data.name):
        load = user_function(data.name, "data.name")
        if problem := misfit(load, split):
            raise InvalidInput(
                f"data.name: {data.name} takes {inspect.signature(load)} {problem}, expected a function of the split, "
                '"train" or "test"'
            )
        told = reported(f"data.name: {data.name}({split!r})", " failed", 'it is called with "train" or "test"')
        with told, drawn_alike():
            returned = load(split)
            arrays = Arrays(*arrays_of(returned, data.name))
            names = class_names_of(returned)
    else:
        arrays = _NAMED[data.name](split)
        names = arrays.class_names
    images, labels, _ = arrays
    check_form(images, labels, data.name)
    images = checked_values(floats_of(images), labels, data.name)
    labels = np.ascontiguousarray(labels, np.int64)
    return Arrays(images, labels, names if _fit(names, labels, split) else ())


def _fit(names: tuple[str, ...], labels: NDArray[np.int64], split: Split) -> bool:
    """Returns whether there are as many names as classes; else they may be of others. A test split may lack classes."""
    spare = len(names) - 1 - labels.max(initial=-1)
    return bool(spare == 0 or (spare > 0 and split == "test"))


def _digits(split: Split) -> Arrays:
    """Reads scikit-learn's 1,797 handwritten digits (8×8, pixels 0 … 16); the first 300 of a fixed order are tests."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(labels))
    chosen = order[:DIGITS_TEST_SIZE] if split == "test" else order[DIGITS_TEST_SIZE:]
    return Arrays((images[chosen] / 16.0).astype(np.float32).reshape(-1, 1, 8, 8), labels[chosen])


def _fashion_mnist(split: Split) -> Arrays:
    folder, prefix = _fashion_mnist_folder(), {"train": "train", "test": "t10k"}[split]
    images = _read_idx(folder / f"{prefix}-images-idx3-ubyte")
    return Arrays(images[:, None], _read_idx(folder / f"{prefix}-labels-idx1-ubyte"), GARMENTS)


def _fashion_mnist_folder() -> Path:
    """Finds the files of Fashion-MNIST: in Debian's package, else in torchvision's cache, else by downloading them."""
    if (DEBIAN_FASHION_MNIST / "train-images-idx3-ubyte.gz").exists():
        return DEBIAN_FASHION_MNIST
    raw = data_root() / "FashionMNIST" / "raw"
    if not (raw / "train-images-idx3-ubyte").exists():
        from torchvision.datasets import FashionMNIST

        try:
            FashionMNIST(str(data_root()), download=True)
        except (RuntimeError, OSError) as error:
            raise InvalidInput(
                "data.name: fashion_mnist is not on this machine. Get it in one of three ways: "
                "`apt-get install dataset-fashion-mnist`; put the four idx files of Fashion-MNIST into "
                f"{raw} (TEMPER_DATA moves that folder); or run where torchvision can download it"
            ) from error
    return raw


def _read_idx(path: Path) -> NDArray[np.uint8]:
    """Reads an IDX file of unsigned bytes, gzipped or not: magic number, one big-endian int32 per axis, the bytes."""
    packed = path.with_name(path.name + ".gz")
    content = gzip.decompress(packed.read_bytes()) if packed.exists() else path.read_bytes()
    axes = content[3]
    shape = np.frombuffer(content, ">i4", count=axes, offset=4)
    if content[:3] != b"\0\0\x08" or len(content) != 4 + 4 * axes + int(np.prod(shape)):
        raise InvalidInput(f"{path}: damaged, expected an IDX file of bytes; fetch it again")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


def _torchvision(kind: str, split: Split) -> Arrays:
    """Reads one of torchvision's sets of small images from its cache below `data_root`, or downloads it there."""
    from torchvision import datasets

    which = {"split": split} if kind == "SVHN" else {"train": split == "train"}
    try:
        found = getattr(datasets, kind)(str(data_root()), download=True, **which)
    except (RuntimeError, OSError) as error:
        raise InvalidInput(
            f"data.name: {kind} is not on this machine and could not be downloaded ({error}). Put its files where "
            f"torchvision keeps them, below {data_root()} (TEMPER_DATA moves that folder)"
        ) from error
    images = np.asarray(found.data)
    labels = np.asarray(found.labels if kind == "SVHN" else found.targets)
    if kind.startswith("CIFAR"):
        return Arrays(images.transpose(0, 3, 1, 2), labels, tuple(found.classes))
    return Arrays(images[:, None] if images.ndim == 3 else images, labels)


_NAMED: dict[str, Callable[[Split], Arrays]] = {
    "digits": _digits,
    "fashion_mnist": _fashion_mnist,
    "mnist": lambda split: _torchvision("MNIST", split),
    "cifar10": lambda split: _torchvision("CIFAR10", split),
    "cifar100": lambda split: _torchvision("CIFAR100", split),
    "svhn": lambda split: _torchvision("SVHN", split),
}
