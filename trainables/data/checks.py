"""Checks images and labels before anything is trained on them, and says which image and which class is wrong."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.memory_mapping import chunks, new_array
from trainables.errors import InvalidInput

SHOWN = 8  # most classes that a message names
COLOURS = (1, 3, 4)  # numbers of channels of pictures
ROUNDING = 1e-5  # how far outside [0, 1] arithmetic in 32 bits may leave a pixel
OVERSHOOT = 0.25  # how far interpolation may go beyond [0, 1]
DARK = 0.1  # images are nearly black if no pixel is brighter
FAR_ABOVE = 2.0  # pixels above it are of another scale
# What is said of tables and signals, whose numbers have no scale that is known beforehand.
RESCALED = (
    "(x - low) / (high - low) by the lowest and highest of the training split, of a table those of each column; drop "
    "what is constant, and clip the test split"
)
MISSING = "fill what is missing or drop those rows; a constant column that is divided by its range is nan too"
AS_NUMBERS = "images as numbers: images.astype(float)"
logger = logging.getLogger(__name__)


def check_form(images: NDArray[Any], labels: NDArray[Any], name: str) -> None:
    """Checks shapes and types.

    Raises:
        InvalidInput: they are not images (n, channels, height, width) and whole numbers (n,); it says what they seem to
            be.
    """
    if images.ndim != 4 or labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise InvalidInput(
            f"data.name: {name} gave images {images.shape} and {labels.dtype} labels {labels.shape}, "
            f"expected (n, channels, height, width) and whole numbers (n,){_hint(images, labels)}"
        )
    if not (np.issubdtype(images.dtype, np.floating) or np.issubdtype(images.dtype, np.integer)) and (
        images.dtype != np.bool_
    ):
        advice = f"; {AS_NUMBERS}" if images.dtype == object else ""
        raise InvalidInput(f"data.name: {name} gave images of {images.dtype}, expected numbers{advice}")
    if 0 in images.shape[1:]:
        raise InvalidInput(f"data.name: {name} gave images {images.shape}, expected at least one pixel in each")
    _check_order(images.shape, name)


def _check_order(shape: tuple[int, ...], name: str) -> None:
    """Refuses images whose channels seem to come last, and warns where they may.

    With the channels last, what is taken for channels would be a height, and the height a width. Square images of few
    pixels are believed, since what a network made of pictures has that form.
    """
    _, channels, height, width = shape
    if channels in COLOURS:
        return
    advice = "images.transpose(0, 3, 1, 2), or of one image image.transpose(2, 0, 1)"
    oblong = channels > max(COLOURS) and height != width
    if width in COLOURS and (channels == height or (oblong and width > 1)):
        raise InvalidInput(
            f"data.name: {name} gave images {shape}, with the channels last, expected (n, channels, height, width): "
            f"{advice}"
        )
    if oblong and (width in COLOURS or width < channels == height):  # square images of several bands, as of satellites
        logger.warning(
            "%s gave images %s, which are read as %d channels of height %d and width %d; if the channels come last: %s",
            name,
            shape,
            channels,
            height,
            width,
            advice,
        )


def checked_values(images: NDArray[np.float32], labels: NDArray[Any], name: str) -> NDArray[np.float32]:
    """Checks that pixels lie in [0, 1] and labels are not negative.

    Returns:
        The images; a copy that is clipped to [0, 1] where some lie outside by no more than `ROUNDING`.

    Raises:
        InvalidInput: they do not; it names the first image.
    """
    rounded, pictures = False, 1 not in images.shape[2:]  # not a table or signals
    for part in chunks(images):
        some = images[part]
        finite = np.isfinite(some)
        if not finite.all():
            number = int(np.argwhere(~finite)[0][0])
            raise InvalidInput(
                f"data.name: {name} gave pixels that are {some[~finite][0]}, first in image {part.start + number}, "
                f"expected numbers in [0, 1]{'' if pictures else f'; {MISSING}'}"
            )
        if not some.size:
            continue
        low, high = float(some.min()), float(some.max())
        if low < -ROUNDING or high > 1 + ROUNDING:
            wrong = np.argwhere((some < -ROUNDING) | (some > 1 + ROUNDING))[0]
            raise InvalidInput(
                f"data.name: {name} gave pixels outside [0, 1], first {some[tuple(wrong)]:g} in image "
                f"{part.start + int(wrong[0])}; {_scale(low, high, pictures=pictures)}"
            )
        rounded = rounded or low < 0 or high > 1
    if len(labels) and labels.min() < 0:
        raise InvalidInput(f"data.name: {name} gave the label {labels.min()}, expected class numbers from 0")
    return _clipped(images) if rounded else images


def darkness(images: NDArray[np.float32], name: str) -> str:
    """Returns in words that all images are nearly black, as where 12 bits are kept in 16; empty where they are not."""
    brightest = max(float(images[part].max()) for part in chunks(images))
    if brightest >= DARK:
        return ""
    return (
        f"data: no pixel of {name} is above {brightest:.2g} on the scale from 0 to 1 that epsilon is given on, as "
        "where 12 bits are kept in files of 16; scale them to the whole range"
    )


def _clipped(images: NDArray[np.float32]) -> NDArray[np.float32]:
    found = new_array(images.shape, np.float32)
    for part in chunks(images):
        np.clip(images[part], 0, 1, out=found[part])
    return found


def check_classes(labels: NDArray[np.int64], validation_size: int, name: str, names: Sequence[str] = ()) -> None:
    """Checks that the labels of the training files can be split class by class into training and validation images.

    A class number below the largest one that no image has is allowed, and said: a network has an output for it.

    Args:
        labels: class numbers (n,).
        validation_size: number of images that validation takes.
        name: name of the data set in messages.
        names: names of the classes, if they have any.

    Raises:
        InvalidInput: there are fewer than two classes, more classes than images, a class of a single image, or one of
            the two parts would have fewer images than classes.
    """
    if not len(labels):
        raise InvalidInput(f"data.name: {name} gave no image, expected some of each class")
    numbers, counts = np.unique(labels, return_counts=True)

    def told(some: NDArray[Any]) -> str:
        return _told(some, names)

    if len(numbers) < 2:
        raise InvalidInput(f"data: {name} has images of the {told(numbers)} alone, expected two classes at least")
    if numbers[-1] >= len(labels):
        raise InvalidInput(
            f"data: {name} has the label {numbers[-1]} and {len(labels)} images, expected class numbers from 0 "
            "without holes: numpy.unique(labels, return_inverse=True)[1] numbers them so"
        )
    if len(single := numbers[counts < 2]):
        raise InvalidInput(
            f"data: {name} cannot be split class by class: it has one image of the {told(single)}, expected two at "
            "least, one to train and one to validate on"
        )
    for what, size in (("validation", validation_size), ("training", len(labels) - validation_size)):
        if size < len(numbers):
            raise InvalidInput(
                f"data: {name} cannot be split class by class: validation_size {validation_size} of {len(labels)} "
                f"images leaves {size} for {what}, expected one of each of the {len(numbers)} classes at least"
            )
    if len(holes := np.setdiff1d(np.arange(numbers[-1]), numbers)):
        advice = "; if yours begin at 1: labels - 1" if holes.tolist() == [0] else ""
        logger.warning(
            "%s has no image of the %s: the network has outputs for it all the same%s", name, told(holes), advice
        )


def check_left(
    labels: NDArray[np.int64], train: NDArray[np.intp], name: str, names: Sequence[str] = (), key: str = "train_size"
) -> None:
    """Says which classes have no training image left, because a key of the study takes only some of the images.

    Args:
        labels: class numbers of all images.
        train: positions of the images that are trained on.
        name: name of the data set in messages.
        names: names of the classes, if they have any.
        key: that key.
    """
    if len(missing := np.setdiff1d(labels, labels[train])):
        logger.warning("%s: %s leaves no training image of the %s", name, key, _told(missing, names))


def _told(some: NDArray[Any], names: Sequence[str]) -> str:
    shown = ", ".join(names[one] if one < len(names) else str(one) for one in some[:SHOWN])
    return f"{'class' if len(some) == 1 else 'classes'} {shown}" + (" …" if len(some) > SHOWN else "")


def _scale(low: float, high: float, *, pictures: bool) -> str:
    """Returns what to do about numbers from `low` to `high`, in pictures or in tables and signals."""
    if low >= -OVERSHOOT and high <= 1 + OVERSHOOT:
        return "expected images.clip(0, 1) if interpolation went beyond, as bicubic resizing does"
    if not pictures:
        return f"expected numbers in [0, 1]; {RESCALED}"
    if low < -OVERSHOOT:
        return (
            "images are given before normalization: the networks that the study knows by name, and torchvision's, "
            "normalize pixels themselves, and one of yours does so in its first layer"
        )
    if high <= FAR_ABOVE:
        return "expected numbers in [0, 1]"
    return f"expected images / {255 if high <= 255 else 65535} (bytes, uint8, are divided by 255 for you)"


def _hint(images: NDArray[Any], labels: NDArray[Any]) -> str:
    """Returns how images and labels are brought into form; each part begins with a semicolon."""
    if images.ndim == 1 and labels.ndim == 4:
        return "; the images come first, and the labels second"
    return _images_hint(images) + _labels_hint(labels, images.shape[:1])


def _images_hint(images: NDArray[Any]) -> str:
    if images.ndim == 2:
        kinds = (
            "" if images.dtype.kind in "biuf" else "; columns of words or of several kinds: pandas.get_dummies(table)"
        )
        rows = "; images as rows: images.reshape(n, channels, height, width)"
        return f"{kinds or rows}; rows of a table (n, columns): numpy.asarray(table, float)[:, :, None, None]"
    if images.dtype == object:
        return f"; {AS_NUMBERS if images.ndim == 4 else 'images of one shape make one array: numpy.stack(images)'}"
    if images.ndim == 3:
        one = "; images of one channel: images[:, None]"
        signals = "; signals (n, channels, length): images[:, :, None]"
        return one + signals if images.dtype.kind == "f" else one
    return ""


def _labels_hint(labels: NDArray[Any], count: tuple[int, ...]) -> str:
    if labels.ndim == 1 and labels.shape != count:
        return f"; {count[0] if count else 0} images need as many labels"
    if labels.dtype.kind in "USO":
        return "; labels as words: numpy.unique(labels, return_inverse=True)[1]"
    if labels.ndim == 2 and labels.shape[0] in count and labels.shape[1] == 1:
        return "; labels in a column: labels[:, 0]"
    if labels.ndim == 2 and labels.shape[0] in count:
        return "; labels as rows of 0 and 1: labels.argmax(1)"
    if labels.shape != count or labels.dtype.kind not in "fb":
        return ""
    if labels.dtype.kind == "b":
        return "; labels as truth values: labels.astype(int)"
    if not (known := np.isfinite(labels)).all():
        return (
            f"; {labels.size - known.sum()} labels are missing, the first of image {known.argmin()}: drop these images"
        )
    if (labels % 1).any():
        return "; labels that are no classes: numpy.digitize(labels, edges) makes classes of ranges"
    return "; labels as fractions: labels.astype(int)"
