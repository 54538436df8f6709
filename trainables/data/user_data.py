"""Brings what a user's function of data returns into arrays: NumPy arrays, tensors, or a Dataset of PyTorch's."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset

from trainables.data.memory_mapping import chunks, new_array
from trainables.errors import InvalidInput

PAIR = "expected a pair (images, labels) of arrays or tensors, or a torch.utils.data.Dataset"


def arrays_of(returned: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns images and labels as arrays; nothing is said of their shapes and values, see `checks`.

    Args:
        returned: what the user's function returned.
        name: name of the function in messages.

    Raises:
        InvalidInput: it is neither a pair of arrays nor a Dataset of images of one shape.
    """
    if isinstance(returned, IterableDataset | DataLoader):
        raise InvalidInput(f"data.name: {name} gave a {type(returned).__name__}, {PAIR} with a length")
    if isinstance(returned, Dataset):
        return _of_dataset(returned, name)
    try:
        images, labels = (_array(part) for part in returned)
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"data.name: {name} gave no pair of arrays (images, labels): {error}; {PAIR}") from error
    return images, labels


def floats_of(images: NDArray[Any]) -> NDArray[np.float32]:
    """Returns images as float32; bytes (uint8) are divided by 255. Arrays of float32 are returned as they are."""
    if images.dtype == np.float32:
        return images
    found = new_array(images.shape, np.float32)
    for part in chunks(images):
        found[part] = images[part] / np.float32(255) if images.dtype == np.uint8 else images[part]
    return found


def _array(part: Any) -> NDArray[Any]:
    if isinstance(part, torch.Tensor):
        return part.detach().cpu().numpy()
    return part if isinstance(part, np.memmap) else np.asarray(part)


def _of_dataset(dataset: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Reads every example of a Dataset once, in order; transforms with random draws are drawn once."""
    count = len(dataset)
    if not count:
        raise InvalidInput(f"data.name: {name} gave an empty {type(dataset).__name__}")
    images, labels = None, np.empty(count, np.int64)
    for number, (image, label) in enumerate(_examples(dataset, count, name)):
        if images is None:
            images = new_array((count, *image.shape), np.float32)
        if image.shape != images.shape[1:]:
            raise InvalidInput(
                f"data.name: {name} gave image {number} of shape {image.shape} after shape {images.shape[1:]}, "
                "expected images of one shape"
            )
        images[number] = image / np.float32(255) if image.dtype == np.uint8 else image
        labels[number] = label
    assert images is not None
    return images, labels


def _examples(dataset: Any, count: int, name: str) -> Iterator[tuple[NDArray[Any], int]]:
    for number in range(count):
        example = dataset[number]
        try:
            image, label = example[0], example[1]
        except (TypeError, KeyError, IndexError):
            raise InvalidInput(
                f"data.name: {name} gave a {type(example).__name__} as example {number}, expected (image, label)"
            ) from None
        pixels = _array(image)
        if not isinstance(image, torch.Tensor | np.ndarray) and pixels.ndim in (2, 3):  # an image of Pillow's
            pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        whole = _array(label)
        if whole.size != 1 or not np.issubdtype(whole.dtype, np.integer):
            raise InvalidInput(
                f"data.name: {name} gave the label {label!r} with example {number}, expected a class number from 0"
            )
        yield pixels, int(whole.item())
