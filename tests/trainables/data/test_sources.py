"""Data sets, each read from files in its real format that the test writes or the machine has."""

import gzip
import hashlib
import pickle
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from trainables.data import sources
from trainables.data.config import Data, DataSet
from trainables.data.splits import Examples, Splits, load_splits, load_test, pixel_statistics
from trainables.errors import InvalidInput

RANDOM = np.random.default_rng(0)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def cifar(root: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """Pickled batches of rows of 3,072 bytes, channel by channel, as the CIFAR archives hold them."""
    ten = kind == "CIFAR10"
    folder = root / ("cifar-10-batches-py" if ten else "cifar-100-python")
    folder.mkdir(parents=True)
    images, tables = {}, {}
    for split, names in {
        "train": [f"data_batch_{number}" for number in range(1, 6)] if ten else ["train"],
        "test": ["test_batch" if ten else "test"],
    }.items():
        rows = RANDOM.integers(0, 256, (20 * len(names), 3072), dtype=np.uint8)
        images[split] = rows.reshape(-1, 3, 32, 32)
        table = []
        for number, name in enumerate(names):
            labels = [index % 10 for index in range(20)]
            batch = {"data": rows[20 * number : 20 * (number + 1)], "labels" if ten else "fine_labels": labels}
            (folder / name).write_bytes(pickle.dumps(batch))
            table.append([name, md5(folder / name)])
        tables[split] = table
    key = "label_names" if ten else "fine_label_names"
    meta = folder / ("batches.meta" if ten else "meta")
    meta.write_bytes(pickle.dumps({key: [str(number) for number in range(10)]}))
    loader = getattr(datasets, kind)
    monkeypatch.setattr(loader, "train_list", tables["train"])
    monkeypatch.setattr(loader, "test_list", tables["test"])
    monkeypatch.setattr(loader, "meta", {"filename": meta.name, "key": key, "md5": md5(meta)})
    return images


def svhn(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """MATLAB files of images (32, 32, 3, n) and labels 1 … 10, where 10 is the digit 0."""
    images, table = {}, {}
    for split in ("train", "test"):
        path = root / f"{split}_32x32.mat"
        pixels = RANDOM.integers(0, 256, (40, 3, 32, 32), dtype=np.uint8)
        labels = np.array([10 if index % 10 == 0 else index % 10 for index in range(40)], dtype=np.uint8)
        scipy.io.savemat(path, {"X": pixels.transpose(2, 3, 1, 0), "y": labels[:, None]})
        images[split], table[split] = pixels, ["", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", table)
    return images


def mnist(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray[Any, Any]]:
    """Big-endian IDX files, as torchvision unpacks them."""
    folder, images = root / "MNIST" / "raw", {}
    folder.mkdir(parents=True)
    for split, prefix in {"train": "train", "test": "t10k"}.items():
        pixels = RANDOM.integers(0, 256, (40, 28, 28), dtype=np.uint8)
        labels = np.arange(40, dtype=np.uint8) % 10
        (folder / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, 40, 28, 28) + pixels.tobytes())
        (folder / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, 40) + labels.tobytes())
        images[split] = pixels[:, None]
    return images


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn", "mnist"])
def test_torchvisions_sets_are_read_from_their_files(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPER_DATA", str(tmp_path))
    makers = {
        "cifar10": lambda: cifar(tmp_path, "CIFAR10", monkeypatch),
        "cifar100": lambda: cifar(tmp_path, "CIFAR100", monkeypatch),
        "svhn": lambda: svhn(tmp_path, monkeypatch),
        "mnist": lambda: mnist(tmp_path, monkeypatch),
    }
    written = makers[name]()
    data = Data(name=name, validation_size=10)
    splits = load_splits(data)
    everything = np.concatenate([splits.train.images, splits.validation.images])
    expected = written["train"] / np.float32(255)
    assert everything.shape == expected.shape
    assert sorted(image.tobytes() for image in everything) == sorted(image.tobytes() for image in expected)
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        (index,) = np.flatnonzero((expected == image).all(axis=(1, 2, 3)))
        assert label == index % 10
    assert splits.classes == 10
    test = load_test(data, splits)
    assert np.array_equal(test.images, written["test"] / np.float32(255))
    means, deviations = pixel_statistics(data, splits.train)
    assert len(means) == len(deviations) == written["train"].shape[1]


def test_a_set_that_cannot_be_had_says_where_it_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise RuntimeError("offline")

    monkeypatch.setenv("TEMPER_DATA", str(tmp_path))
    monkeypatch.setattr("torchvision.datasets.CIFAR10", offline)
    with pytest.raises(InvalidInput, match=f"could not be downloaded \\(offline\\).*below {tmp_path}"):
        load_splits(Data(name="cifar10", validation_size=10))


def test_a_folder_of_images(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for number, label in enumerate(("cat", "dog")):
            folder = tmp_path / split / label
            folder.mkdir(parents=True)
            for index in range(12):
                colour = (200, 10 * index, 100 * number)
                Image.new("RGB", (40, 20), colour).save(folder / f"{index:02d}.png")
    data = Data(name="image_folder", path=str(tmp_path), image_size=16, validation_size=10)
    splits = load_splits(data)
    assert splits.train.images.shape == (14, 3, 16, 16)
    assert splits.classes == 2
    for image, label in zip(splits.train.images, splits.train.labels, strict=True):
        assert image[0].min() == pytest.approx(200 / 255)
        assert image[2].max() == pytest.approx(100 * label / 255)
    means, deviations = pixel_statistics(data, splits.train)
    assert means[0] == pytest.approx(200 / 255, abs=1e-3)
    assert deviations[0] == 1e-3
    with pytest.raises(InvalidInput, match="expected train/ and test/ with a folder a class"):
        load_splits(data.model_copy(update={"path": str(tmp_path / "none")}))
    with pytest.raises(ValueError, match="expected path and image_size with image_folder"):
        Data(name="image_folder", validation_size=10)
    with pytest.raises(ValueError, match="expected path and image_size with image_folder"):
        Data(name="digits", path="here", validation_size=10)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("np.zeros((40, 3, 4, 4))", r"gave a ndarray of length 40, expected a pair \(images, labels\)"),
        ("(np.zeros((40, 4, 4)), np.arange(40) % 2)", r"gave images \(40, 4, 4\)"),
        ("(np.zeros((40, 1, 4, 4)), np.arange(39) % 2)", r"labels \(39,\)"),
        ("(np.zeros((40, 1, 4, 4)), np.zeros(40))", "float64 labels"),
        ("(np.full((40, 1, 4, 4), 255.0), np.arange(40) % 2)", r"pixels outside \[0, 1\]"),
        ("(np.full((40, 1, 4, 4), np.nan), np.arange(40) % 2)", "gave pixels that are nan, first in image 0"),
        ("(np.zeros((40, 1, 4, 4)), np.arange(40) % 2 - 1)", "gave the label -1"),
        ("(np.zeros((40, 1, 4, 4)), np.arange(40))", "cannot be split class by class"),
    ],
)
def test_a_users_data_that_does_not_fit_is_refused(
    returned: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "theirs.py").write_text(f"import numpy as np\ndef load(split): return {returned}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    with pytest.raises(InvalidInput, match=message):
        load_splits(Data(name="theirs:load", validation_size=10))


def test_a_users_data_may_be_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import numpy as np\ndef load(split): return np.full((40, 1, 4, 4), 51, np.uint8), np.arange(40) % 2\n"
    (tmp_path / "theirs.py").write_text(source)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    splits = load_splits(Data(name="theirs:load", train_size=20, validation_size=10))
    assert (splits.train.images == np.float32(0.2)).all()
    assert len(splits.train) == 20


def test_fashion_mnist_is_read_from_debians_package() -> None:
    if not sources.DEBIAN_FASHION_MNIST.exists():
        pytest.skip("dataset-fashion-mnist is not installed")
    splits = load_splits(Data(name="fashion_mnist", train_size=1000, validation_size=500))
    assert splits.train.images.shape == (1000, 1, 28, 28)
    assert float(splits.train.images.max()) == 1.0
    assert np.bincount(splits.validation.labels).tolist() == [50] * 10


def test_spoiled_fashion_mnist_test_files_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not sources.DEBIAN_FASHION_MNIST.exists():
        pytest.skip("dataset-fashion-mnist is not installed")
    data = Data(name="fashion_mnist", train_size=100, validation_size=100)
    splits = load_splits(data)
    before = splits.fingerprint()
    for file in sources.DEBIAN_FASHION_MNIST.glob("train-*.gz"):
        (tmp_path / file.name).symlink_to(file)
    for kind in ("images-idx3", "labels-idx1"):
        (tmp_path / f"t10k-{kind}-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\1\0\0\0\7spoiled"[:9]))
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path)
    assert load_splits(data).fingerprint() == before
    with pytest.raises(InvalidInput, match="damaged"):
        load_test(data, splits)


def test_missing_fashion_mnist_names_the_three_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: Any, **__: Any) -> None:
        raise RuntimeError("offline")

    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path / "none")
    monkeypatch.setattr("torchvision.datasets.FashionMNIST", offline)
    monkeypatch.setenv("TEMPER_DATA", str(tmp_path))
    with pytest.raises(InvalidInput, match=r"apt-get install dataset-fashion-mnist.*idx files.*download"):
        load_splits(Data(name="fashion_mnist", validation_size=500))


def test_digits_are_split_as_they_ever_were_and_reach_from_black_to_white() -> None:
    """All results on them hang on which images are the test's."""
    train, test = (sources.read(DataSet(name="digits"), split) for split in ("train", "test"))
    assert (len(train.labels), len(test.labels)) == (1497, 300)
    assert test.labels[:12].tolist() == [6, 6, 6, 2, 5, 6, 6, 2, 2, 1, 1, 9]
    for one in (train, test):
        assert (one.images.min(), one.images.max()) == (0, 1)
        assert np.array_equal(16 * one.images, (16 * one.images).round())


def test_the_same_seed_splits_alike_and_another_one_otherwise() -> None:
    first, again, other = (
        load_splits(Data(name="digits", validation_size=300, split_seed=seed)).fingerprint() for seed in (0, 0, 1)
    )
    assert first == again != other


def test_a_fingerprint_is_of_every_image_and_every_label_of_both_parts() -> None:
    def made(*changed: int) -> str:
        images, labels = np.zeros((4, 1, 2, 2), np.float32), np.zeros(4, np.int64)
        for number in changed:
            images[number % 4, 0, 1, 1] += number < 4
            labels[number % 4] += number >= 4
        return Splits(Examples(images[:2], labels[:2]), Examples(images[2:], labels[2:])).fingerprint()

    assert len({made(), *map(made, range(8))}) == 9
    assert made() == made()


def test_classes_have_names_where_the_data_name_them(tmp_path: Path) -> None:
    for name in ("owl", "cat"):
        (tmp_path / "train" / name).mkdir(parents=True)
        for number in range(20):
            Image.new("RGB", (8, 8)).save(tmp_path / "train" / name / f"{number}.png")
    folder = Data(name="image_folder", path=str(tmp_path), image_size=8, validation_size=10)
    assert load_splits(folder).class_names == ("cat", "owl")
    digits = load_splits(Data(name="digits", validation_size=10))
    assert [digits.name_of(number) for number in (0, 9)] == ["0", "9"]


def test_garments_have_the_names_that_torchvision_gives_them() -> None:
    assert list(sources.GARMENTS) == datasets.FashionMNIST.classes
