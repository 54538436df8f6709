"""Loads the test images of another data set of the same classes, whose classes must have the numbers of the study's."""

from pathlib import Path

from trainables.data.config import Data, DataSet
from trainables.data.image_folder import TEST, class_folders, class_names, read_image_folder
from trainables.data.sources import Arrays
from trainables.data.splits import Examples, Splits, fitting, load_test
from trainables.errors import InvalidInput

KEY = "other_data"


def load_other(other: DataSet, own: Data, splits: Splits) -> Examples:
    """Loads the test images of a data set from elsewhere.

    Classes of an image folder are numbered as those of the study's folder are, by their names; it may lack some of
    them. Where the study's data are no folder, it must have a folder for each class, in the alphabetical order of which
    they are numbered.

    Args:
        other: the data set from elsewhere; of an image folder only test/ is needed.
        own: the study's data.
        splits: its images.

    Raises:
        InvalidInput: it cannot be read, its images have another form, or it has classes that the study's data lack.
    """
    if other.path is None or other.image_size is None:
        return load_test(other, splits, KEY)
    root = Path(other.path).expanduser()
    names = _names(root / TEST, own, splits.classes)
    return fitting(Arrays(*read_image_folder(root, TEST, other.image_size, names)), splits, KEY)


def _names(test: Path, own: Data, classes: int) -> tuple[str, ...]:
    found = class_folders(test)
    if own.path is None:
        if len(found) != classes:
            raise InvalidInput(
                f"{KEY}.path: {test}: got {len(found)} folders, expected one for each of the {classes} classes of data"
            )
        return found
    names = class_names(Path(own.path).expanduser())
    if unknown := [name for name in found if name not in names]:
        raise InvalidInput(
            f"{KEY}.path: {test}: got {', '.join(unknown)}, expected classes of data: {', '.join(names)}"
        )
    return names
