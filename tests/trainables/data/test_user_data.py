"""What a user's function of data may return, and what is said of what it may not."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput

SOURCE = """\
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

IMAGES, LABELS = np.linspace(0, 1, 40 * 2 * 9).reshape(40, 2, 3, 3), np.arange(40) % 4


class Pairs(Dataset):
    def __init__(self, image, label=lambda number: number % 4):
        self.image, self.label = image, label

    def __len__(self):
        return 40

    def __getitem__(self, number):
        return self.image(number), self.label(number)


class Stream(IterableDataset):
    def __iter__(self):
        yield IMAGES[0], 0


def fails(number):
    if number == 7:
        raise KeyError("seven")
    return IMAGES[number]


def load(split):
    return {returned}
"""


@pytest.fixture
def loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """Loads what a function of the user's returns, given as a line of Python."""

    def load(returned: str) -> Splits:
        (tmp_path / "their_data.py").write_text(SOURCE.replace("{returned}", returned))
        monkeypatch.chdir(tmp_path)
        monkeypatch.delitem(sys.modules, "their_data", raising=False)
        return load_splits(Data(name="their_data:load", validation_size=10))

    return load


@pytest.mark.parametrize(
    "returned",
    [
        "IMAGES, LABELS",
        "[IMAGES.astype(np.float32), LABELS.astype(np.uint8)]",
        "torch.tensor(IMAGES, requires_grad=True), torch.tensor(LABELS)",
        "TensorDataset(torch.tensor(IMAGES), torch.tensor(LABELS))",
        "Pairs(lambda number: IMAGES[number])",
        "Pairs(lambda number: torch.tensor(IMAGES[number]), lambda number: torch.tensor(number % 4))",
        "torch.utils.data.Subset(Pairs(lambda number: IMAGES[number]), range(40))",
    ],
)
def test_arrays_tensors_and_datasets_are_loaded_alike(loaded, returned: str) -> None:  # type: ignore[no-untyped-def]
    splits = loaded(returned)
    everything = np.concatenate([splits.train.images, splits.validation.images])
    expected = np.linspace(0, 1, 40 * 2 * 9).reshape(40, 2, 3, 3).astype(np.float32)
    assert sorted(one.tobytes() for one in everything) == sorted(one.tobytes() for one in expected)
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        (index,) = np.flatnonzero((expected == image).all(axis=(1, 2, 3)))
        assert label == index % 4


def test_a_dataset_of_pillows_images_gives_their_channels_first(loaded) -> None:  # type: ignore[no-untyped-def]
    splits = loaded('Pairs(lambda number: Image.new("RGB", (5, 3), (51, 102, number)))')
    assert splits.train.images.shape == (30, 3, 3, 5)
    assert [round(float(one), 4) for one in np.unique(splits.train.images[:, 0])] == [0.2]
    assert loaded('Pairs(lambda number: Image.new("L", (5, 3), number))').train.images.shape == (30, 1, 3, 5)


def test_a_tensor_of_theirs_is_not_changed(loaded) -> None:  # type: ignore[no-untyped-def]
    splits = loaded("torch.full((40, 1, 4, 4), 0.25), torch.arange(40) % 2")
    assert torch.equal(splits.train.tensors(torch.device("cpu"))[0], torch.full((30, 1, 4, 4), 0.25))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", "gave no pair of arrays .*expected a pair"),
        ("Stream()", "gave a Stream, expected a pair .* with a length"),
        ("DataLoader(Pairs(lambda number: IMAGES[number]))", "gave a DataLoader"),
        ("TensorDataset(torch.zeros(0, 1, 4, 4), torch.zeros(0))", "gave an empty TensorDataset"),
        ("TensorDataset(torch.zeros(40, 1, 4, 4))", r"gave a tuple as example 0, expected \(image, label\)"),
        ("Pairs(lambda number: IMAGES[number], lambda number: 'cat')", "the label 'cat' with example 0"),
        ("Pairs(lambda number: np.zeros((1, 4 + number, 4)))", r"gave image 1 of shape \(1, 5, 4\) after shape"),
        (
            "Pairs(fails)",
            r"data.name: their_data:load\('train'\) failed \(KeyError: 'seven'\) in their_data.py line 27",
        ),
        ("open('/nowhere/labels.csv')", "FileNotFoundError.*in their_data.py line 32"),
        ("exit(3)", r"SystemExit: 3\) in their_data.py line 32"),
        ("IMAGES, LABELS[:, None]", r"labels in a column: labels\[:, 0\]"),
        ("IMAGES, np.eye(4)[LABELS]", r"rows of 0 and 1: labels.argmax\(1\)"),
        ("IMAGES, LABELS.astype(float)", r"labels as fractions: labels.astype\(int\)"),
        ("np.zeros((40, 8, 8, 3)), LABELS", "with the channels last.*transpose"),
        ("IMAGES.astype(complex), LABELS", "gave images of complex128, expected numbers"),
        ("IMAGES.astype(str), LABELS", "gave images of <U"),
        ("np.where(IMAGES == IMAGES[5, 0, 0, 0], np.inf, IMAGES), LABELS", "that are inf, first in image 5"),
        ("np.where(IMAGES == IMAGES[5, 0, 0, 0], 1.5, IMAGES), LABELS", r"outside \[0, 1\], first 1.5 in image 5"),
        ("IMAGES, np.where(LABELS == 3, 900, LABELS)", "has the label 900 and 40 images, expected .* without holes"),
        ("IMAGES, LABELS * 0", "images of the class 0 alone"),
        ("IMAGES[:0], LABELS[:0]", "gave no image"),
        ("IMAGES, np.where(np.arange(40) == 0, 4, LABELS)", "one image of the class 4, expected two"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(loaded, returned: str, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidInput, match=message):
        loaded(returned)


def test_a_hole_in_the_labels_is_said_and_allowed(loaded, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    assert loaded("IMAGES, LABELS + 1").classes == 5
    assert "their_data:load has no image of the class 0: the network has outputs for it all the same" in caplog.text
