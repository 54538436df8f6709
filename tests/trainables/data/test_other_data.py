"""Another data set of the same classes: its classes have the numbers of the study's, or it is refused."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import Dataset

from search.confirm.conditions import other_data_of
from search.study.loading import load
from trainables.data.config import Data, DataSet
from trainables.data.other_data import load_other
from trainables.data.splits import Splits, load_splits, load_test
from trainables.errors import InvalidInput
from trainables.models.config import Weights
from trainables.models.weights import sealed

SHADES = {"cat": 30, "dog": 120, "owl": 220}  # grey levels, by which an image tells its class


def folder(place: Path, split: str, classes: dict[str, int], images: int = 12) -> Path:
    """Writes images of one shade a class, of 8 by 8 pixels."""
    for name, shade in classes.items():
        (place / split / name).mkdir(parents=True)
        for number in range(images):
            Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(place / split / name / f"{number}.png")
    return place


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Splits:
    data = Data(
        name="image_folder",
        path=str(folder(tmp_path_factory.mktemp("own"), "train", SHADES)),
        image_size=8,
        validation_size=12,
    )
    return load_splits(data)


def elsewhere(place: Path, size: int = 8) -> DataSet:
    return DataSet(name="image_folder", path=str(place), image_size=size)


@pytest.mark.parametrize("path", ["~nobody-of-that-name/x", "a\0b", "x" * 300])
def test_paths_that_cannot_be_are_refused_by_their_keys(path: str, own: Splits) -> None:
    with pytest.raises(InvalidInput, match=r"^data\.path: got "):
        load_splits(Data(name="image_folder", path=path, image_size=8, validation_size=12))
    with pytest.raises(InvalidInput, match=r"^other_data\.path: got "):
        load_other(elsewhere(Path(path)), own)
    with pytest.raises(InvalidInput, match=r"^pretrained\.path: got "):
        sealed(Weights(path=path))


def test_classes_of_a_folder_have_the_numbers_of_the_studys_folder_by_their_names(tmp_path: Path, own: Splits) -> None:
    """A folder without dogs: its owls are class 2 still, and it needs no train/."""
    some = {name: shade for name, shade in SHADES.items() if name != "dog"}
    found = load_other(elsewhere(folder(tmp_path, "test", some, images=5)), own)
    shades = np.array(list(SHADES.values()))
    assert np.bincount(found.labels, minlength=3).tolist() == [5, 0, 5]
    assert (np.rint(found.images[:, 0, 0, 0] * 255) == shades[found.labels]).all()


@pytest.mark.parametrize("first", [0, 1])
def test_a_folder_that_is_a_class_by_its_name_is_no_other_one_by_its_number(tmp_path: Path, first: int) -> None:
    """Classes named by unpadded numbers, in alphabetical order: class 2 is `10`. One that lacks has no images."""
    shades = {str(number): 20 * number for number in range(first, 12)}
    data = Data(
        name="image_folder",
        path=str(folder(tmp_path / "own", "train", shades, images=4)),
        image_size=8,
        validation_size=12,
    )
    splits = load_splits(data)
    some = {name: shade for name, shade in shades.items() if name not in ("5", "10")}
    found = load_other(elsewhere(folder(tmp_path / "other", "test", some, images=5)), splits)
    assert len(found) == 5 * len(some)
    named = [splits.class_names[label] for label in found.labels]
    assert (np.rint(found.images[:, 0, 0, 0] * 255) == [shades[name] for name in named]).all()


def test_other_classes_and_other_forms_are_refused(tmp_path: Path, own: Splits) -> None:
    strange = folder(tmp_path / "strange", "test", SHADES | {"yak": 5})
    with pytest.raises(InvalidInput, match=r"test: got yak, expected classes of data, by name or .*: cat, dog, owl$"):
        load_other(elsewhere(strange), own)
    known = folder(tmp_path / "known", "test", SHADES)
    with pytest.raises(InvalidInput, match=r"^other_data: got images of 3×4×4, expected 3×8×8, as trained on$"):
        load_other(elsewhere(known, size=4), own)
    with pytest.raises(InvalidInput, match=r"^other_data: digits, test split: got images of 1×8×8"):
        load_other(DataSet(name="digits"), own)
    with pytest.raises(InvalidInput, match=r"nowhere.*test: No such file"):
        load_other(elsewhere(tmp_path / "nowhere"), own)
    digits = Data(name="digits", validation_size=100)
    with pytest.raises(InvalidInput, match=r"got 3 folders, expected one for each of the 10 classes of data$"):
        load_other(elsewhere(known), load_splits(digits))


def test_classes_that_the_study_lacks_are_refused(own: Splits, monkeypatch: pytest.MonkeyPatch) -> None:
    def of_the_user(split: str) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((4, 3, 8, 8), np.float32), np.array([0, 1, 2, 3])

    monkeypatch.setattr("trainables.data.sources.user_function", lambda *_: of_the_user)
    with pytest.raises(InvalidInput, match=r"^other_data: mine:photographs, .*: got class 3, expected classes 0 to 2"):
        load_other(DataSet(name="mine:photographs"), own)


class Garments(Dataset):  # type: ignore[type-arg]
    """The user's data, in another order than the alphabet's."""

    def __init__(self, *classes: str) -> None:
        self.classes = classes

    def __len__(self) -> int:
        return 30

    def __getitem__(self, number: int) -> tuple[np.ndarray, int]:
        return np.full((3, 8, 8), number % len(self.classes) / 10, np.float32), number % len(self.classes)


@pytest.fixture
def garments(monkeypatch: pytest.MonkeyPatch) -> Splits:
    monkeypatch.setattr(
        "trainables.data.sources.user_function", lambda *_: lambda split: Garments("T-shirt/top", "Trouser", "Bag")
    )
    return load_splits(Data(name="mine:garments", validation_size=12))


@pytest.mark.parametrize("shirt", [{}, {"0": 10}])
def test_folders_beside_a_dataset_that_names_its_classes_have_their_numbers(
    tmp_path: Path, garments: Splits, shirt: dict[str, int]
) -> None:
    """A folder cannot be called `T-shirt/top`, so it has its number, or is not there."""
    place = folder(tmp_path, "test", {"Bag": 200, "Trouser": 100, **shirt}, images=1)
    found = load_other(elsewhere(place), garments)
    shades = np.rint(found.images[:, 0, 0, 0] * 255).astype(int)
    assert dict(zip(found.labels.tolist(), shades.tolist(), strict=True)) == {2: 200, 1: 100} | (
        {0: 10} if shirt else {}
    )


def test_folders_of_other_names_than_the_studys_classes_are_refused(tmp_path: Path, garments: Splits) -> None:
    place = folder(tmp_path, "test", {"Bag": 200, "Shoe": 100, "Trouser": 0}, images=1)
    with pytest.raises(InvalidInput, match=r"got Shoe, expected classes of data.*: T-shirt/top, Trouser, Bag$"):
        load_other(elsewhere(place), garments)


def test_another_dataset_that_names_its_classes_has_their_numbers(
    garments: Splits, monkeypatch: pytest.MonkeyPatch
) -> None:
    def returning(*classes: str) -> None:
        monkeypatch.setattr("trainables.data.sources.user_function", lambda *_: lambda split: Garments(*classes))

    returning("Bag", "Trouser")
    found = load_other(DataSet(name="mine:others"), garments)
    assert found.labels.tolist() == [2, 1] * 15
    returning("Bag", "Shoe")
    with pytest.raises(InvalidInput, match=r"^other_data: mine:others, test split: got Shoe, expected classes"):
        load_other(DataSet(name="mine:others"), garments)


def test_folders_of_numbers_are_ordered_by_size_where_classes_have_no_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def numbered(split: str) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((48, 3, 8, 8), np.float32), np.arange(48) % 12

    monkeypatch.setattr("trainables.data.sources.user_function", lambda *_: numbered)
    splits = load_splits(Data(name="mine:numbered", validation_size=12))
    place = folder(tmp_path, "test", {str(number): 20 * number for number in range(12)}, images=1)
    found = load_other(elsewhere(place), splits)
    assert np.rint(found.images[:, 0, 0, 0] * 255).tolist() == (20 * found.labels).tolist()


def test_a_study_names_it_and_as_many_images_are_drawn_as_of_its_own() -> None:
    none, study = load("digits"), load("digits", ["other_data.name=digits"])
    splits = load_splits(study.data)
    assert other_data_of(none, splits, None) == {}
    assert len(other_data_of(study, splits, 20)["digits"]) == 20
    assert len(other_data_of(study, splits, None)["digits"]) == len(load_test(study.data, splits))


def test_a_home_folder_may_be_written_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder(tmp_path / "photographs", "train", SHADES)
    splits = load_splits(Data(name="image_folder", path="~/photographs", image_size=8, validation_size=12))
    assert len(splits.train) + len(splits.validation) == 36
