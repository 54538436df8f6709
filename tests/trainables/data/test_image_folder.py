"""Folders of images as people have them: each image is read as it should look, or refused with the file's name."""

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.data.config import Data
from trainables.data.image_folder import image_sizes, read_image_folder
from trainables.data.splits import load_splits, load_test
from trainables.errors import InvalidInput

RED = (255, 0, 0)


def folder(root: Path, *classes: str, count: int = 8, splits: tuple[str, ...] = ("train", "test")) -> Path:
    """A folder with `count` grey images a class, in train/ and test/."""
    for split in splits:
        for number, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for index in range(count):
                Image.new("L", (6, 6), 20 * number + index).save(root / split / name / f"{index:02d}.png")
    return root


def data(root: Path) -> Data:
    return Data(name="image_folder", path=str(root), image_size=4, validation_size=10)


def pixel(root: Path, image: Image.Image, name: str = "x.png", exif: Image.Exif | None = None) -> list[float]:
    """The first pixel of an image that is saved alone into a class's folder, in red, green and blue."""
    (root / "train" / "only").mkdir(parents=True)
    image.save(root / "train" / "only" / name, exif=exif or Image.Exif())
    images, _ = read_image_folder(root, "train", 2)
    return [round(float(value), 3) for value in images[0, :, 0, 0]]


def test_hidden_folders_and_files_and_other_files_are_no_images(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(tmp_path, "cat", "dog")
    for hidden in (".ipynb_checkpoints", "__MACOSX", ".git", "@eaDir", "$RECYCLE.BIN", "lost+found"):
        (root / "train" / hidden).mkdir()
        Image.new("L", (6, 6)).save(root / "train" / hidden / "0.png")
    (root / "train" / "cat" / "._00.png").write_bytes(b"a Mac's")
    (root / "train" / "cat" / ".ipynb_checkpoints").mkdir()
    Image.new("L", (6, 6)).save(root / "train" / "cat" / ".ipynb_checkpoints" / "00-checkpoint.png")
    (root / "train" / "cat" / "Thumbs.db").write_bytes(b"Windows'")
    (root / "train" / "cat" / "labels.csv").write_text("theirs")
    splits = load_splits(data(root))
    assert (splits.classes, len(splits.train) + len(splits.validation)) == (2, 16)
    assert "cat: files that are not read as images: 1 of .csv" in caplog.text
    assert len(load_test(data(root), splits).labels) == 16


@pytest.mark.timeout(60)
def test_a_pipe_that_is_named_as_an_image_is_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = folder(tmp_path, "cat", "dog")
    os.mkfifo(root / "train" / "cat" / "x.png")
    splits = load_splits(data(root))
    assert len(splits.train) + len(splits.validation) == 16
    assert len(image_sizes(root, "train")) == 16
    assert "cat: files that are not read as images: 1 of pipes, sockets and devices" in caplog.text


def test_endings_may_be_of_any_case_and_classes_may_have_folders_of_their_own(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog")
    os.rename(root / "train" / "cat" / "00.png", root / "train" / "cat" / "00.PNG")
    (root / "train" / "cat" / "more").mkdir()
    Image.new("RGB", (6, 6)).save(root / "train" / "cat" / "more" / "1.Jpeg")
    (root / "train" / "cat" / "more" / "again").symlink_to(root / "train" / "cat")  # a link in a circle
    images, labels = read_image_folder(root, "train", 4)
    assert np.bincount(labels).tolist() == [9, 8]
    assert len(images) == 17


def test_modes_look_as_they_should(tmp_path: Path) -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, *RED])
    assert pixel(tmp_path / "palette", palette) == [1, 0, 0]
    assert pixel(tmp_path / "grey", Image.new("L", (4, 4), 51)) == [0.2, 0.2, 0.2]
    assert pixel(tmp_path / "bits", Image.new("1", (4, 4), 1)) == [1, 1, 1]
    assert pixel(tmp_path / "rgba", Image.new("RGBA", (4, 4), (255, 0, 0, 128))) == [1, 0, 0]
    assert pixel(tmp_path / "cmyk", Image.new("CMYK", (4, 4), (0, 255, 255, 0)), "x.tif") == [1, 0, 0]
    sixteen = Image.fromarray(np.full((4, 4), 13000, np.uint16))  # 50.6 of 255, which rounds to 51
    assert pixel(tmp_path / "sixteen", sixteen) == [0.2, 0.2, 0.2]
    assert pixel(tmp_path / "tiff", sixteen, "x.tiff") == [0.2, 0.2, 0.2]
    assert pixel(tmp_path / "fractions", Image.fromarray(np.full((4, 4), 0.4, np.float32)), "x.tif") == [0.4, 0.4, 0.4]


def test_an_image_is_turned_as_its_camera_said(tmp_path: Path) -> None:
    upright = Image.new("RGB", (4, 4))
    upright.paste(RED, (0, 0, 4, 2))  # red above black
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying: to be turned by 90 degrees clockwise
    lying = upright.rotate(90, expand=True)
    pixel(tmp_path, lying, exif=exif)
    images, _ = read_image_folder(tmp_path, "train", 4)
    assert images[0, 0].tolist() == [[1] * 4] * 2 + [[0] * 4] * 2


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (3, 2)])
def test_images_of_a_few_pixels_are_scaled_up(tmp_path: Path, shape: tuple[int, int]) -> None:
    assert pixel(tmp_path, Image.new("RGB", shape, RED)) == [1, 0, 0]


def test_every_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog", count=20)
    cut = root / "train" / "dog" / "03.png"
    cut.write_bytes(cut.read_bytes()[:40])
    (root / "train" / "dog" / "04.png").write_bytes(b"")
    (root / "train" / "dog" / "05.png").write_text("<html>not found</html>")
    (root / "train" / "dog" / "06.png").unlink()
    (root / "train" / "dog" / "06.png").symlink_to(root / "gone.png")
    wide = Image.fromarray(np.full((4, 4), 1e6, np.float32))
    wide.save(root / "train" / "dog" / "07.tif")
    with pytest.raises(InvalidInput) as refused:
        load_splits(data(root))
    lines = str(refused.value).splitlines()
    assert [Path(line.split(": ")[1]).name for line in lines] == ["03.png", "04.png", "05.png", "06.png", "07.tif"]
    assert all("cannot be read (" in line and "mend or remove the file" in line for line in lines)
    assert "expected 0 to 1" in lines[-1]
    for number in range(8, 20):
        (root / "train" / "dog" / f"{number:02d}.png").write_bytes(b"")
    with pytest.raises(InvalidInput, match="… and 9 more files"):
        load_splits(data(root))


@pytest.mark.parametrize("unread", ["dog", "dog/more"])
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unread: str) -> None:
    root = folder(tmp_path, "cat", "dog")
    (root / "train" / "dog" / "more").mkdir()
    Image.new("L", (6, 6)).save(root / "train" / "dog" / "more" / "0.png")
    scandir, closed = os.scandir, root / "train" / unread

    def refused(path: str | Path) -> Any:
        if Path(path) == closed:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", refused)
    with pytest.raises(InvalidInput, match=rf"^data\.path: {closed}: cannot be read \(Permission denied\); mend or"):
        load_splits(data(root))


def test_classes_are_named_in_refusals(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="images of the class cat alone, expected two classes"):
        load_splits(data(folder(tmp_path / "one", "cat", count=30)))
    root = folder(tmp_path / "empty", "cat", "dog")
    (root / "train" / "eel").mkdir()
    (root / "train" / "eel" / "notes.txt").write_text("no image")
    with pytest.raises(InvalidInput, match="train/eel: holds no image"):
        load_splits(data(root))
    root = folder(tmp_path / "flat", splits=())
    (root / "train").mkdir(parents=True)
    Image.new("L", (6, 6)).save(root / "train" / "0.png")
    with pytest.raises(InvalidInput, match="train: holds no folder of a class"):
        load_splits(data(root))
    root = folder(tmp_path / "rare", "cat", "dog")
    (root / "train" / "eel").mkdir()
    Image.new("L", (6, 6)).save(root / "train" / "eel" / "0.png")
    with pytest.raises(InvalidInput, match="it has one image of the class eel, expected two"):
        load_splits(data(root))
    root = folder(tmp_path / "many", *(f"c{number:02d}" for number in range(12)))
    with pytest.raises(InvalidInput, match="validation_size 10 of 96 images leaves 10 for validation, expected one"):
        load_splits(data(root))


def test_classes_that_differ_between_splits_are_refused_or_keep_their_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = folder(folder(tmp_path / "more", "cat", "dog", splits=("train",)), "cat", "Dog", splits=("test",))
    with pytest.raises(InvalidInput, match=r"more/test has the class Dog, which .*more/train has not.*cat, dog"):
        load_splits(data(root))
    root = folder(folder(tmp_path / "less", "cat", "dog", splits=("train",)), "dog", splits=("test",))
    splits = load_splits(data(root))
    assert "less/test has no folder for the class cat" in caplog.text
    assert load_test(data(root), splits).labels.tolist() == [1] * 8


def test_spoiled_images_of_the_test_split_change_nothing(tmp_path: Path) -> None:
    root = folder(tmp_path, "cat", "dog")
    before = load_splits(data(root)).fingerprint()
    for path in (root / "test").rglob("*.png"):
        path.write_bytes(b"")
    assert load_splits(data(root)).fingerprint() == before
