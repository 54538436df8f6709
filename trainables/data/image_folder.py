"""Reads a folder of images that holds train/ and test/, each with a folder for every class.

Files and folders that no person put there as an image are passed over: those whose name begins with a dot, and
`__MACOSX`. Class numbers follow the alphabetical order of the class folders of train/, in both splits.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainables.data.memory_mapping import new_array
from trainables.errors import InvalidInput
from trainables.value_forms import counted

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's; in any case
GREY = ("1", "L", "LA")  # modes of Pillow's without colour
UNREAD = ("thumbs.db", "desktop.ini")  # files of file managers, of which nothing need be said
SYSTEMS_OWN = ("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found")  # folders that systems keep
SHOWN = 8  # most files that a message names
TRAIN, TEST = "train", "test"
logger = logging.getLogger(__name__)


def read_image_folder(
    root: Path, split: str, size: int, names: Sequence[str] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Reads the images of one split, and opens no file of the other.

    Each image is turned as its EXIF data say, brought to eight bits in red, green and blue, scaled so that its short
    side has the wanted size, and cropped in the middle.

    Args:
        root: the folder that holds train/ and test/.
        split: `train` or `test`.
        size: height and width of the images, pixels.
        names: names of the classes, by their number; None: the class folders of train/ in alphabetical order.

    Returns:
        Images (n, 3, size, size) in [0, 1], and class numbers (n,).

    Raises:
        InvalidInput: a folder is missing or empty, or test/ has a class that train/ lacks; or some files cannot be
            read, which the message names.
    """
    names = class_names(root) if names is None else names
    files = [(path, number) for number, name in enumerate(names) for path in _images(root / split / name)]
    if not files:
        raise InvalidInput(f"data.path: {root / split}: holds no image, expected folders of {', '.join(ENDINGS)}")
    images = new_array((len(files), 3, size, size), np.float32)
    unreadable = []
    for number, (path, _) in enumerate(files):
        try:
            images[number] = _pixels(path, size)
        except Exception as error:  # Pillow's decoders raise many kinds: OSError, SyntaxError, ValueError, zlib.error
            unreadable.append(f"data.path: {path}: cannot be read ({_reason(error)}); mend or remove the file")
    if unreadable:
        more = [f"data.path: … and {counted(len(unreadable) - SHOWN, 'more file')}"] if len(unreadable) > SHOWN else []
        raise InvalidInput(*unreadable[:SHOWN], *more)
    return images, np.array([label for _, label in files], dtype=np.int64)


def image_sizes(root: Path, split: str, most: int = 64) -> list[tuple[int, int]]:
    """Returns the widths and heights of some images of a split, spread over its classes, without decoding them.

    Args:
        root: the folder that holds train/ and test/.
        split: `train` or `test`.
        most: number of images to look at.

    Raises:
        InvalidInput: the split's folder cannot be read, or none of these images can.
    """
    from PIL import Image

    names = class_folders(root / split)
    files = [path for name in names for path in _images(root / split / name, say=False)]
    sizes = []
    for path in files[:: max(1, len(files) // most)]:
        try:
            with Image.open(path) as opened:
                sizes.append(opened.size)
        except Exception:  # reading them all says which cannot be read, and why
            continue
    if not sizes:
        raise InvalidInput(f"data.path: {root / split}: holds no image that can be read")
    return sizes


def class_names(root: Path) -> tuple[str, ...]:
    """Returns the names of the classes, by their number: the class folders of train/ in alphabetical order.

    Raises:
        InvalidInput: there is no folder with classes, a class of train/ has no image, or test/ has a class that train/
            lacks.
    """
    names = class_folders(root / TRAIN)
    if not names:
        raise InvalidInput(f"data.path: {root / TRAIN}: holds no folder of a class, expected one for each class")
    if empty := [name for name in names if next(_images(root / TRAIN / name, say=False), None) is None]:
        raise InvalidInput(
            *(f"data.path: {root / TRAIN / name}: holds no image, expected one of {', '.join(ENDINGS)}; or remove it"
              for name in empty)
        )  # fmt: skip
    if (root / TEST).is_dir():
        other = class_folders(root / TEST)
        if unknown := sorted(set(other) - set(names)):
            raise InvalidInput(
                f"data.path: {root / TEST} has the {_classes(unknown)}, which {root / TRAIN} has not, expected the "
                f"same classes in both; in {TRAIN}/: {', '.join(names[:SHOWN])}{' …' if len(names) > SHOWN else ''}"
            )
        if missing := sorted(set(names) - set(other)):
            logger.warning("%s has no folder for the %s of %s", root / TEST, _classes(missing), root / TRAIN)
    return names


def _classes(names: list[str]) -> str:
    shown = ", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else "")
    return f"{'class' if len(names) == 1 else 'classes'} {shown}"


def class_folders(folder: Path) -> tuple[str, ...]:
    """Returns the names of the class folders in a split's folder, in alphabetical order.

    Raises:
        InvalidInput: the split's folder cannot be read.
    """
    try:
        found = [one.name for one in os.scandir(folder) if one.is_dir() and not _is_hidden(one.name)]
    except OSError as error:
        raise InvalidInput(
            f"data.path: {folder}: {error.strerror}; expected train/ and test/ with a folder a class"
        ) from error
    return tuple(sorted(found))


def _images(folder: Path, *, say: bool = True) -> Iterator[Path]:
    """Yields the images below a class's folder in a fixed order, and says how many other files are passed over."""
    others: Counter[str] = Counter()
    for place, names in sorted(_walked(folder)):
        for name in sorted(names):
            ending = Path(name).suffix.lower()
            if ending in ENDINGS and _is_file(Path(place) / name):
                yield Path(place) / name
            elif ending in ENDINGS:
                others["pipes, sockets and devices"] += 1
            elif name.lower() not in UNREAD:
                others[ending or "no ending"] += 1
    if others and say:
        told = ", ".join(f"{count} of {ending}" for ending, count in sorted(others.items()))
        logger.warning("%s: files that are not read as images: %s", folder, told)


def _walked(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yields each folder below one, itself included, with the names of its files; links are followed once.

    Raises:
        InvalidInput: a folder is there, and cannot be read.
    """
    seen = set()
    for place, inner, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(place)
        inner[:] = [] if real in seen else [name for name in inner if not _is_hidden(name)]
        if real not in seen:
            yield place, [name for name in files if not _is_hidden(name)]
        seen.add(real)


def _is_file(path: Path) -> bool:
    """Returns whether something is no pipe, socket or device, whose reading may never end.

    What nothing can be found out of counts as a file, since reading it says what is wrong.
    """
    return os.path.isfile(path) or not os.path.exists(path)


def _refuse(error: OSError) -> None:
    """Refuses a folder that cannot be read; a class of which a split has none is no error."""
    if not isinstance(error, FileNotFoundError):
        raise InvalidInput(
            f"data.path: {error.filename}: cannot be read ({error.strerror}); mend or remove the folder"
        ) from error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name in SYSTEMS_OWN


def _pixels(path: Path, size: int) -> NDArray[np.float32]:
    """Returns the pixels of a file (3, size, size) in [0, 1]."""
    from PIL import Image, ImageOps
    from torchvision.transforms import CenterCrop, Resize

    with Image.open(path) as opened:
        try:
            upright = ImageOps.exif_transpose(opened)
        except Exception:  # EXIF data that are damaged say nothing, and the pixels can be read all the same
            upright = opened
        image = CenterCrop(size)(Resize(size)(eight_bits(upright).convert("RGB")))
    pixels: NDArray[Any] = np.asarray(image).transpose(2, 0, 1)
    return (pixels / np.float32(255)).astype(np.float32, copy=False)


def eight_bits(image: "Image") -> "Image":
    """Returns an image of Pillow's in grey, or in red, green and blue, of eight bits, without transparency.

    More bits than eight are scaled, which Pillow itself cuts off; palettes and colours for print become RGB.

    Raises:
        ValueError: it has values that no picture has.
    """
    from PIL import Image

    if not image.mode.startswith(("I", "F")):
        return image.convert("L" if image.mode in GREY else "RGB")
    values: NDArray[Any] = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    most = 1.0 if image.mode == "F" else 65535.0
    if not (low >= 0 and high <= most):
        raise ValueError(f"values {low:g} to {high:g} in mode {image.mode}, expected 0 to {most:g}")
    return Image.fromarray((values * (255 / most)).round().astype(np.uint8))


def _reason(error: Exception) -> str:
    text = str(error).partition("\n")[0]
    return "no image in a form that Pillow knows" if text.startswith("cannot identify") else text or repr(error)
