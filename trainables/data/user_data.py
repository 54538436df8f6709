"""Brings what a user's function of data returns into arrays: NumPy arrays, tensors, or a Dataset of PyTorch's."""

import random
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset

from trainables.data.image_folder import eight_bits
from trainables.data.memory_mapping import chunks, new_array
from trainables.errors import InvalidInput
from trainables.user_errors import described, failure

SEED = 20_261_129
NUMBERS = "biuf"  # kinds of NumPy's types that pixels may be of
PAIR = "expected a pair (images, labels) of arrays or tensors, or a torch.utils.data.Dataset"


@contextmanager
def drawn_alike() -> Iterator[None]:
    """Lets the user's code draw the same random numbers each time, so that its data are the same in each process.

    The states of Python's, NumPy's and PyTorch's own generators (of the CPU) are set back afterwards. Generators that
    the user's code makes without a seed are not reached.
    """
    python, numpy, pytorch = random.getstate(), np.random.get_state(), torch.get_rng_state()
    random.seed(SEED)
    np.random.seed(SEED)
    torch.default_generator.manual_seed(SEED)
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        torch.set_rng_state(pytorch)


def arrays_of(returned: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns images and labels as arrays; nothing is said of their shapes and values, see `checks`.

    Args:
        returned: what the user's function returned.
        name: name of the function in messages.

    Raises:
        InvalidInput: it is neither a pair of arrays nor a Dataset of images of one shape.
    """
    if isinstance(returned, IterableDataset | DataLoader | Iterator):
        raise InvalidInput(f"data.name: {name} gave a {type(returned).__name__}, {PAIR} with a length")
    if isinstance(returned, Dataset) or _is_map_style(returned):
        return _of_dataset(returned, name)
    if isinstance(returned, Mapping):
        keys = ", ".join(map(str, returned))
        raise InvalidInput(f"data.name: {name} gave a {type(returned).__name__} of {keys:.200}, {PAIR}")
    if not isinstance(returned, Sequence | np.ndarray | torch.Tensor) or len(returned) != 2:
        length = f" of length {len(returned)}" if hasattr(returned, "__len__") else ""
        raise InvalidInput(f"data.name: {name} gave a {type(returned).__name__}{length}, {PAIR}")
    return _whole(returned[0], "images", name), _whole(returned[1], "labels", name)


def class_names_of(returned: Any) -> tuple[str, ...]:
    """Returns the names of the classes of a Dataset that lists them as torchvision's do, in `classes`; else none.

    Where labels are changed on their way, the names may be of others.

    Args:
        returned: what the user's function returned; of a Subset that has no `classes` the Dataset below it is asked.
    """
    while isinstance(returned, Subset) and not hasattr(returned, "classes"):
        returned = returned.dataset
    names = getattr(returned, "classes", None)
    if not isinstance(names, Sequence) or isinstance(names, str) or getattr(returned, "target_transform", None):
        return ()
    return tuple(names) if all(isinstance(name, str) for name in names) else ()


def _is_map_style(returned: Any) -> bool:
    """Returns whether an object gives examples by number as a Dataset does, without being a collection of Python's."""
    known = isinstance(returned, Sequence | Mapping | Set | np.ndarray | torch.Tensor)
    return not known and hasattr(returned, "__len__") and hasattr(returned, "__getitem__")


def floats_of(images: NDArray[Any]) -> NDArray[np.float32]:
    """Returns images as contiguous float32; bytes (uint8) are divided by 255. Such arrays are returned as they are."""
    if images.dtype == np.float32 and images.flags.c_contiguous:
        return images
    found = new_array(images.shape, np.float32)
    for part in chunks(images):
        found[part] = images[part] / np.float32(255) if images.dtype == np.uint8 else images[part]
    return found


def _whole(part: Any, what: str, name: str) -> NDArray[Any]:
    """Returns all images or all labels as one array."""
    try:
        return _array(part)
    except (TypeError, ValueError, RuntimeError) as error:
        odd = _odd_one(part)
        reason = f"number {odd} is {_form(part[odd])} after {_form(part[0])}" if odd else described(error)
        raise InvalidInput(f"data.name: {name} gave {what} that make no array ({reason}); {PAIR}") from error


def _odd_one(part: Any) -> int:
    """Returns the number of the first entry of a sequence that is unlike the first one; 0 if there is none."""
    if not isinstance(part, Sequence):
        return 0
    return next((number for number, one in enumerate(part) if _form(one) != _form(part[0])), 0)


def _form(entry: Any) -> str:
    shape = getattr(entry, "shape", getattr(entry, "size", None))
    return type(entry).__name__ if shape is None or callable(shape) else f"a {type(entry).__name__} of {tuple(shape)}"


def _array(part: Any) -> NDArray[Any]:
    if isinstance(part, torch.Tensor):
        known = part.detach().cpu()
        return (known.float() if known.dtype == torch.bfloat16 else known).numpy()  # NumPy has no bfloat16
    return part if isinstance(part, np.memmap) else np.asarray(part)


def _of_dataset(dataset: Any, name: str) -> tuple[NDArray[Any], NDArray[Any]]:
    """Reads every example of a Dataset once, in order; random draws of transforms are made once, see `drawn_alike`."""
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
                "expected images of one shape and with as many colours"
            )
        images[number] = image / np.float32(255) if image.dtype == np.uint8 else image
        labels[number] = label
    assert images is not None
    return images, labels


def _examples(dataset: Any, count: int, name: str) -> Iterator[tuple[NDArray[Any], int]]:
    """Yields each image as an array, with its class number; a message names the example that is wrong."""
    for number in range(count):
        where = f"data.name: {name}: example {number} of {count}"
        try:
            example = dataset[number]
        except (Exception, SystemExit) as error:  # user's code may raise anything
            raise failure(f"{where} cannot be had", error) from error
        if not isinstance(example, Sequence) or isinstance(example, str) or len(example) < 2:
            keys = f" of {', '.join(map(str, example)):.200}" if isinstance(example, Mapping) else ""
            raise InvalidInput(f"{where} is a {type(example).__name__}{keys}, expected a pair (image, label)")
        try:
            image, label = _pixels(example[0]), _array(example[1])
        except (TypeError, ValueError, RuntimeError) as error:
            raise failure(f"{where} cannot be read", error) from error
        if image.dtype.kind not in NUMBERS:
            raise InvalidInput(
                f"{where} has a {type(example[0]).__name__} for an image, expected an array, a tensor or an image of "
                "Pillow's"
            )
        if label.size != 1 or not np.issubdtype(label.dtype, np.integer):
            raise InvalidInput(f"{where} has the label {example[1]!r:.200}, expected a class number from 0")
        yield image, int(label.item())


def _pixels(image: Any) -> NDArray[Any]:
    """Returns an image as an array; one of Pillow's as (channels, height, width), grey or red, green and blue."""
    if isinstance(image, torch.Tensor | np.ndarray):
        return _array(image)
    from PIL import Image  # late, so that trials start sooner: see `sources`

    if not isinstance(image, Image.Image):
        return _array(image)
    pixels = np.asarray(eight_bits(image))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
