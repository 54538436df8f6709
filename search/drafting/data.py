"""Says in a study's words which data is meant, and how many of its images to hold out."""

from statistics import median

import numpy as np

from trainables.config import parse
from trainables.data.config import DATA_SETS, Data
from trainables.data.image_folder import TRAIN, image_sizes
from trainables.data.sources import read
from trainables.data.splits import Splits, divided
from trainables.errors import InvalidInput
from trainables.user_code import is_reference
from trainables.user_path import user_path

FOLDER = "image_folder"
LEAST = 10  # images that a study may hold out
HELD_OUT = 6  # one in so many training images is held out …
MOST_HELD_OUT = 2000  # … and no more: the standard error of an accuracy is then at most 1.1 points
LARGEST = 64  # most pixels that a folder's images are given a side, unless told: cost grows with their square
STEP = 8  # sides are multiples of it, since networks halve them


def chosen_data(name: str, image_size: int | None) -> tuple[Data, Splits]:
    """Returns the data that a name means, with one image in six held out, but no more than 2,000, and its images.

    At least one of each class is held out, and one left to train on.

    Args:
        name: a known data set, `module:function`, or the path of a folder with train/ and test/.
        image_size: height and width of a folder's images; None: the middle of their shorter sides, at most 64.

    Raises:
        InvalidInput: there is no such data, or a size was given for data whose images have one.
    """
    if is_reference(name) or (name in DATA_SETS and name != FOLDER):
        if image_size is not None:
            raise InvalidInput(f"--image-size: got {image_size} with {name}, expected it with an image folder alone")
        named: dict[str, str | int] = {"name": name}
    elif user_path(name, "--data").is_dir():
        size = image_size or _usual_size(name)
        named = {"name": FOLDER, "path": name, "image_size": size}
    else:
        known = ", ".join(one for one in DATA_SETS if one != FOLDER)
        raise InvalidInput(f"--data: got {name}, expected {known}, module:function, or an existing image folder")
    data = parse(Data, {**named, "validation_size": LEAST}, where="--data")
    found = read(data, "train")
    images, classes = len(found.labels), len(np.unique(found.labels))
    count = max(LEAST, classes, min(images // HELD_OUT, MOST_HELD_OUT))
    data = data.model_copy(update={"validation_size": count})
    return data, divided(found, data)


def _usual_size(folder: str) -> int:
    sides = [min(size) for size in image_sizes(user_path(folder, "--data"), TRAIN)]
    return max(STEP, min(LARGEST, int(median(sides)) // STEP * STEP))
