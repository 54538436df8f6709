"""Loads the test images of another data set of the same classes, and gives these the numbers that the study's have."""

from pathlib import Path

from trainables.data.config import DataSet
from trainables.data.image_folder import TEST, class_folders, read_image_folder
from trainables.data.sources import Arrays
from trainables.data.splits import Examples, Splits, fitting, load_test
from trainables.errors import InvalidInput
from trainables.user_path import user_path
from trainables.value_forms import counted

KEY = "other_data"


def load_other(other: DataSet, splits: Splits) -> Examples:
    """Loads the test images of a data set from elsewhere.

    Classes of an image folder are those that its folders name, by the name or the number that the study's data give
    them; it may lack some. Where the study's data name no classes, it must have a folder for each, in the alphabetical
    order of which they are numbered, or by size if all are numbers.

    Args:
        other: the data set from elsewhere; of an image folder only test/ is needed.
        splits: the images of the study's data.

    Raises:
        InvalidInput: it cannot be read, its images have another form, or it has classes that the study's data lack.
    """
    if other.path is None or other.image_size is None:
        return load_test(other, splits, KEY)
    root = user_path(other.path, f"{KEY}.path")
    folders = _folders(root / TEST, splits)
    read = Arrays(*read_image_folder(root, TEST, other.image_size, folders))
    return fitting(read, splits, KEY)


def _folders(test: Path, splits: Splits) -> tuple[str, ...]:
    """Returns the names of the class folders by the number of their class; of those that are not there too."""
    found, names = class_folders(test), splits.class_names
    if not names:
        if len(found) != splits.classes:
            raise InvalidInput(
                f"{KEY}.path: {test}: got {counted(len(found), 'folder')}, expected one for each of the "
                f"{splits.classes} classes of data"
            )
        return tuple(sorted(found, key=int)) if all(name.isdecimal() for name in found) else found
    folders = tuple(name if name in found or str(number) in names else str(number) for number, name in enumerate(names))
    if unknown := [name for name in found if name not in folders]:
        raise InvalidInput(
            f"{KEY}.path: {test}: got {', '.join(unknown)}, expected classes of data, by name or by number from 0: "
            f"{', '.join(names)}"
        )
    return folders
