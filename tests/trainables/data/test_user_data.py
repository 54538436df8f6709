"""What a user's function of data may return, and what is said of what it may not."""

import random
import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from trainables.data.config import Data
from trainables.data.splits import Splits, load_splits
from trainables.errors import InvalidInput

SOURCE = """\
import random

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


class Rows:  # as a data set of Hugging Face's, which is no Dataset of PyTorch's
    def __init__(self, example):
        self.example = example

    def __len__(self):
        return 40

    def __getitem__(self, number):
        return self.example(number)


class Stream(IterableDataset):
    def __iter__(self):
        yield IMAGES[0], 0


def fails(number):
    if number == 7:
        raise KeyError("seven")
    return IMAGES[number]


def colour(number, mode):
    return Image.new("RGB", (5, 3), (255, 51, 51) if number % 2 else (51, 51, 255)).convert(mode)


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


@pytest.mark.parametrize("mode", ["P", "PA", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pillows_colours_are_read_as_they_look(loaded, mode: str) -> None:  # type: ignore[no-untyped-def]
    splits = loaded(f'Pairs(lambda number: colour(number, "{mode}"), lambda number: number % 2)')
    expected = np.array([(0.2, 0.2, 1.0), (1.0, 0.2, 0.2)])[splits.train.labels]
    assert splits.train.images.shape == (30, 3, 3, 5)
    np.testing.assert_allclose(splits.train.images.mean(axis=(2, 3)), expected, atol=0.02)


@pytest.mark.parametrize(
    ("image", "level"),
    [
        ('Image.new("LA", (5, 3), (51, 0))', 0.2),
        ('Image.new("1", (5, 3), 1)', 1.0),
        ("Image.fromarray(np.full((3, 5), 51 * 257, np.uint16))", 0.2),
        ("torch.full((1, 3, 5), 0.5, dtype=torch.bfloat16)", 0.5),
    ],
)
def test_images_without_colour_have_one_channel(loaded, image: str, level: float) -> None:  # type: ignore[no-untyped-def]
    images = loaded(f"Pairs(lambda number: {image})").train.images
    assert images.shape == (30, 1, 3, 5)
    np.testing.assert_allclose(images, level, atol=1e-6)


def test_an_object_with_a_length_and_examples_is_read_as_a_dataset(loaded) -> None:  # type: ignore[no-untyped-def]
    splits = loaded("Rows(lambda number: (np.full((1, 2, 2), number / 40), number % 4))")
    order = np.rint(splits.train.images[:, 0, 0, 0] * 40).astype(int)
    assert len(order) == 30
    assert (splits.train.labels == order % 4).all()


DRAWS = {
    "PyTorch's": "torch.rand(40, 1, 4, 4), LABELS",
    "NumPy's": "np.random.rand(40, 1, 4, 4), np.random.permutation(LABELS)",
    "transforms": "Pairs(lambda number: torch.rand(1, 4, 4) * random.random() * np.random.rand())",
}


@pytest.mark.parametrize("draws", DRAWS)
def test_random_draws_are_the_same_each_time_and_nobody_elses_change(loaded, draws: str) -> None:  # type: ignore[no-untyped-def]
    def others() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    def seeded(seed: int) -> None:
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    seeded(1)
    undisturbed = others()
    found = set()
    for seed in (1, 2):
        seeded(seed)
        splits = loaded(DRAWS[draws])
        found.add(splits.fingerprint())
        if seed == 1:
            assert others() == undisturbed
        assert len({image.tobytes() for image in splits.train.images}) == 30
    assert len(found) == 1


def test_draws_of_data_that_cannot_be_had_change_nothing_either(loaded) -> None:  # type: ignore[no-untyped-def]
    random.seed(1)
    undisturbed = random.random()
    random.seed(1)
    with pytest.raises(InvalidInput, match="cannot be had"):
        loaded("Pairs(fails)")
    assert random.random() == undisturbed


def test_a_tensor_of_theirs_is_not_changed(loaded) -> None:  # type: ignore[no-untyped-def]
    splits = loaded("torch.full((40, 1, 4, 4), 0.25), torch.arange(40) % 2")
    assert torch.equal(splits.train.tensors(torch.device("cpu"))[0], torch.full((30, 1, 4, 4), 0.25))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("None", r"gave a NoneType, expected a pair \(images, labels\)"),
        ("iter([1])", "gave a list_iterator, expected .* with a length"),
        ('{"train": IMAGES, "test": IMAGES}', "gave a dict of train, test, expected a pair"),
        ("[(image, 0) for image in IMAGES]", "gave a list of length 40, expected a pair"),
        ("IMAGES, LABELS, 3", "gave a tuple of length 3, expected a pair"),
        (
            "[image[:, : 3 - number // 9] for number, image in enumerate(IMAGES)], LABELS",
            r"images that make no array \(number 9 is a ndarray of \(2, 2, 3\) after a ndarray of \(2, 3, 3\)\)",
        ),
        ('Rows(lambda number: {"image": IMAGES[number], "label": 0})', "example 0 of 40 is a dict of image, label"),
        ("Pairs(lambda number: None if number == 7 else IMAGES[number])", "example 7 of 40 has a NoneType for an"),
        ("Pairs(lambda number: IMAGES[number], lambda number: 0.0)", "example 0 of 40 has the label 0.0, expected"),
        ("Stream()", "gave a Stream, expected a pair .* with a length"),
        ("DataLoader(Pairs(lambda number: IMAGES[number]))", "gave a DataLoader"),
        ("TensorDataset(torch.zeros(0, 1, 4, 4), torch.zeros(0))", "gave an empty TensorDataset"),
        ("TensorDataset(torch.zeros(40, 1, 4, 4))", r"example 0 of 40 is a tuple, expected a pair \(image, label\)"),
        ("Pairs(lambda number: IMAGES[number], lambda number: 'cat')", "example 0 of 40 has the label 'cat'"),
        ("Pairs(lambda number: np.zeros((1, 4 + number, 4)))", r"gave image 1 of shape \(1, 5, 4\) after shape"),
        (
            "Pairs(fails)",
            r"data.name: their_data:load: example 7 of 40 cannot be had \(KeyError: 'seven'\) in their_data.py line 40",
        ),
        (
            "type('Named', (Pairs,), {'classes': property(lambda self: fails(7))})(lambda number: IMAGES[number])",
            r"data.name: their_data:load\('train'\) failed \(KeyError: 'seven'\) in their_data.py line 40",
        ),
        ("open('/nowhere/labels.csv')", "FileNotFoundError.*in their_data.py line 49"),
        ("exit(3)", r"SystemExit: 3\) in their_data.py line 49"),
        ("IMAGES, LABELS[:, None]", r"labels in a column: labels\[:, 0\]"),
        ("IMAGES, np.eye(4)[LABELS]", r"rows of 0 and 1: labels.argmax\(1\)"),
        ("IMAGES, LABELS.astype(float)", r"labels as fractions: labels.astype\(int\)"),
        ("IMAGES, LABELS.astype(bool)", r"labels as truth values: labels.astype\(int\)"),
        ("IMAGES, LABELS.astype(str)", r"labels as words: numpy.unique\(labels, return_inverse=True\)\[1\]"),
        ("IMAGES, LABELS[:-1]", "40 images need as many labels"),
        ("LABELS, IMAGES", "the images come first"),
        (
            "IMAGES.reshape(40, -1), LABELS",
            r"as rows: images.reshape.*; rows of a table .*: numpy.asarray\(table, float\)\[:, :, None, N",
        ),
        (
            "IMAGES[:, 0], LABELS",
            r"channel: images\[:, None\]; signals \(n, channels, length\): images\[:, :, None\]",
        ),
        ("(IMAGES[:, 0] * 9).astype(int), LABELS", r"one channel: images\[:, None\]$"),
        ("np.array([*IMAGES[1:], None], object), LABELS", r"one array: numpy.stack\(images\)"),
        ("IMAGES * 255, LABELS", r"outside \[0, 1\].* expected images / 255 \(bytes"),
        ("IMAGES * 60000, LABELS", r"outside \[0, 1\].* expected images / 65535"),
        (
            "IMAGES * 2 - 1, LABELS",
            r"outside \[0, 1\].* before normalization: .* one of yours does so in its first layer",
        ),
        ("np.zeros((40, 8, 8, 3)), LABELS", r"with the channels last.*images.transpose\(0, 3, 1, 2\)"),
        ("np.zeros((40, 24, 32, 3)), LABELS", r"images \(40, 24, 32, 3\), with the channels last.*transpose"),
        ("np.zeros((40, 32, 24, 4)), LABELS", r"images \(40, 32, 24, 4\), with the channels last.*transpose"),
        (
            "Pairs(lambda number: np.zeros((24, 32, 3), np.uint8))",
            r"with the channels last.*image.transpose\(2, 0, 1\)",
        ),
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


@pytest.mark.parametrize("signature", ["()", "(*, split)", "(split, root)"])
def test_a_function_that_does_not_take_the_split_is_refused_with_its_line(loaded, signature: str) -> None:  # type: ignore[no-untyped-def]
    takes = rf"their_data:load takes {re.escape(signature)} \(.*\) in their_data.py line 50, expected a function of the"
    with pytest.raises(InvalidInput, match=takes):
        loaded(f"0\ndef load{signature}: return IMAGES, LABELS")


def test_a_hole_in_the_labels_is_said_and_allowed(loaded, caplog: pytest.LogCaptureFixture) -> None:  # type: ignore[no-untyped-def]
    assert loaded("IMAGES, LABELS + 1").classes == 5
    said = "their_data:load has no image of the class 0: the network has outputs for it all the same"
    assert f"{said}; if yours begin at 1: labels - 1" in caplog.text


KINDS = ["ant", "bee", "cat", "dog"]


def named(classes: object) -> str:
    """A data set of four classes whose class lists other classes, as a line of Python."""
    return f"type('Named', (Pairs,), {{'classes': {classes}}})(lambda number: IMAGES[number])"


@pytest.mark.parametrize("subset", [False, True])
def test_classes_have_the_names_that_a_dataset_lists(loaded, subset: bool) -> None:  # type: ignore[no-untyped-def]
    returned = named(KINDS)
    splits = loaded(f"torch.utils.data.Subset({returned}, range(40))" if subset else returned)
    assert splits.class_names == ("ant", "bee", "cat", "dog")
    assert [splits.name_of(number) for number in (0, 3, 4)] == ["ant", "dog", "4"]


def test_a_subset_that_names_its_classes_is_believed(loaded) -> None:  # type: ignore[no-untyped-def]
    own = f"type('Own', (torch.utils.data.Subset,), {{'classes': {KINDS[::-1]}}})"
    assert loaded(f"{own}({named(KINDS)}, range(40))").class_names[0] == "dog"


def test_names_that_may_be_those_of_other_classes_are_left_out(loaded) -> None:  # type: ignore[no-untyped-def]
    changed = named(f"{KINDS}, 'target_transform': abs")
    for returned in (changed, *map(named, ("4", "range(4)", "None", "'four'", KINDS[1:], [*KINDS, "eel"]))):
        assert loaded(returned).class_names == (), returned
