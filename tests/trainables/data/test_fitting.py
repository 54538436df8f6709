"""The test split fits what is trained on: in form and classes, or it is refused before hours of work."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search.confirm.confirm import Prepared, confirm
from search.monitoring.progress import Terminal
from search.study.loading import load
from tests.support.run_directories import worked_example
from trainables.assessment.attack_record import AttackSetting
from trainables.data.config import Data
from trainables.data.sources import Arrays
from trainables.data.splits import Examples, Splits, fitting, load_splits, load_test
from trainables.errors import InvalidInput

SOURCE = """\
import numpy as np

IMAGES = np.linspace(0, 1, 60 * 2 * 9, dtype=np.float32).reshape(60, 2, 3, 3)
LABELS = np.arange(60) % 3


def load(split):
    if split == "train":
        return IMAGES, LABELS
    return {test}
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Loads a user's data, of which the test split is given as a line of Python."""

    def load(test: str) -> tuple[Data, Splits]:
        (tmp_path / "their_data.py").write_text(SOURCE.replace("{test}", test))
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(sys.modules, "their_data", raising=False)
        data = Data(name="their_data:load", validation_size=12)
        return data, load_splits(data)

    return load


REFUSED = {
    "IMAGES, LABELS + 1": r"^data: their_data:load, test split: got class 3, expected classes 0 to 2, as trained on$",
    "IMAGES[:, :1], LABELS": r"^data: their_data:load, test split: got images of 1×3×3, expected 2×3×3, as trained on$",
    "np.pad(IMAGES, ((0, 0), (0, 0), (0, 1), (0, 1))), LABELS": r"got images of 2×4×4, expected 2×3×3",
    "IMAGES[:0], LABELS[:0]": r"test split: got no image, expected some of each class$",
}


@pytest.mark.parametrize("test", REFUSED)
def test_a_test_split_that_does_not_fit_is_refused(loaded, test: str) -> None:  # type: ignore[no-untyped-def]
    data, splits = loaded(test)
    with pytest.raises(InvalidInput, match=REFUSED[test]):
        load_test(data, splits)


def test_a_confirmation_refuses_it_before_anything_is_trained(loaded, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    data, splits = loaded("IMAGES, LABELS + 1")
    study = load("digits").model_copy(update={"data": data})
    setting = AttackSetting(study.threat_model, "quick", None)
    prepared = Prepared(
        worked_example(tmp_path / "run"), study, splits, setting, (1000, 1001), (), (), conditions=False, force=False
    )
    with pytest.raises(InvalidInput, match="test split: got class 3"):
        confirm(
            prepared,
            target=None,  # type: ignore[arg-type]  # no cluster is asked for
            terminal=Terminal(),
            started=0.0,
            check=lambda: None,
            planned=lambda number: None,
        )


def test_a_test_split_may_lack_classes_and_lie_backwards_in_memory(loaded) -> None:  # type: ignore[no-untyped-def]
    data, splits = loaded("IMAGES[:50:-3, :, ::-1], LABELS[:50:-3]")
    images, labels = load_test(data, splits).tensors(torch.device("cpu"))
    expected = np.linspace(0, 1, 60 * 2 * 9, dtype=np.float32).reshape(60, 2, 3, 3)
    assert np.array_equal(images.numpy(), expected[:50:-3, :, ::-1])
    assert labels.tolist() == [2, 2, 2]


FOLDERS = """\
from torchvision.datasets import ImageFolder
from torchvision.transforms import ToTensor


def load(split):
    return ImageFolder(f"{root}/{split}", ToTensor())
"""
SHADES = {"cat": 30, "dog": 120, "eel": 220}


def folders(place: Path, **splits: list[str]) -> Data:
    """A study's data that torchvision's ImageFolder reads, of one shade a class, and numbers a split at a time."""
    for split, classes in splits.items():
        for name in classes:
            (place / split / name).mkdir(parents=True)
            for number in range(8):
                Image.new("RGB", (4, 4), (SHADES.get(name, 0),) * 3).save(place / split / name / f"{number}.png")
    (place / "their_folders.py").write_text(FOLDERS.replace("{root}", str(place)))
    return Data(name="their_folders:load", validation_size=10)


@pytest.mark.parametrize("classes", [["cat", "eel"], ["eel"], ["cat", "dog"], ["cat", "dog", "eel"]])
def test_classes_of_a_dataset_have_the_same_numbers_in_both_splits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, classes: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "their_folders", raising=False)
    data = folders(tmp_path, train=["cat", "dog", "eel"], test=classes)
    splits = load_splits(data)
    test = load_test(data, splits)
    shades = np.rint(test.images[:, 0, 0, 0] * 255).astype(int)
    assert [SHADES[splits.name_of(label)] for label in test.labels] == shades.tolist()
    assert {splits.name_of(label) for label in test.labels} == set(classes)


def test_a_class_of_the_test_split_that_training_lacks_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "their_folders", raising=False)
    data = folders(tmp_path, train=["cat", "dog"], test=["cat", "cow"])
    with pytest.raises(InvalidInput, match=r"test split: got cow, expected classes that are trained on: cat, dog$"):
        load_test(data, load_splits(data))


def named(*names: str) -> Arrays:
    return Arrays(np.zeros((6, 1, 4, 4), np.float32), np.arange(6) % 3, names)


def test_names_that_lie_unused_change_nothing_and_equal_names_are_refused_if_their_order_differs() -> None:
    some = Examples(*named()[:2])
    splits = Splits(some, some, ("ant", "bee", "cat"))
    assert fitting(named("cat", "ant", "bee", "yak"), splits, "data").labels.tolist() == [2, 0, 1] * 2
    with pytest.raises(InvalidInput, match=r"^data: got cat, cat, bee, expected each class to have a name of its own$"):
        fitting(named("cat", "cat", "bee"), splits, "data")
    twice = Splits(some, some, ("cat", "cat", "bee"))
    assert fitting(named("cat", "cat", "bee"), twice, "data").labels.tolist() == [0, 1, 2] * 2


def test_a_class_that_train_size_takes_away_still_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "rare_data.py").write_text(
        "import numpy as np\n"
        "def load(split):\n"
        "    labels = np.arange(100) % 2\n"
        "    labels[-2:] = 2\n"
        "    return np.zeros((100, 1, 4, 4)), labels\n"
    )
    monkeypatch.chdir(tmp_path)
    cut = [Data(name="rare_data:load", validation_size=10, train_size=20, split_seed=seed) for seed in range(6)]
    found = [load_splits(data) for data in cut]
    labels = [set(np.concatenate([one.train.labels, one.validation.labels]).tolist()) for one in found]
    assert {0, 1} in labels, "in some of these splits the rare class is left out"
    assert [one.classes for one in found] == [3] * 6
    assert load_test(cut[0], found[0]).labels.max() == 2
    assert "rare_data:load: train_size leaves no training image of the class 2" in caplog.text
    caplog.clear()
    assert load_splits(Data(name="rare_data:load", validation_size=97)).classes == 3
    assert "validation_size leaves no training image" in caplog.text


def test_images_that_are_no_data_sets_have_the_classes_that_they_have() -> None:
    some = Examples(np.zeros((3, 1, 4, 4), np.float32), np.array([0, 1, 4]))
    assert Splits(some, some).classes == 5
