"""Writes folders of images as people have them, drawn by a number, and says what reading each must come to.

Every image is of one colour, so that what is read can be compared whatever its mode, size, rotation and file format.
"""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("cat", "Dog", "class 1", "n01440764", "żółw", "a.b", "10", "9", "_other", "UPPER", "猫")
COLOUR_MODES = ("RGB", "RGBA", "CMYK", "YCbCr")
GREY_MODES = ("L", "LA", "1", "P", "I;16", "I", "F")
ENDINGS = {
    "RGB": ("png", "bmp", "jpg", "JPEG", "ppm", "webp", "tiff", "Png"),
    "RGBA": ("png", "PNG", "tif", "webp"),
    "CMYK": ("tif", "jpg"),
    "YCbCr": ("jpeg",),
    "L": ("png", "jpg", "pgm", "bmp", "TIF"),
    "LA": ("png",),
    "1": ("png", "bmp"),
    "P": ("png", "bmp", "tif"),
    "I;16": ("png", "tif"),
    "I": ("tif",),
    "F": ("tif",),
}
VALIDATION = 10  # images that are held out of each folder


@dataclass
class Expected:
    """What reading a folder must come to.

    Attributes:
        refused: why it must be refused; empty: it must be read.
        train: the colours of the training files (red, green, blue in 0–1) by class.
        test: the same of the test files.
    """

    refused: list[str] = field(default_factory=list)
    train: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    test: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)


def write_folder(root: Path, number: int) -> Expected:
    """Writes the folder of a number below `root`, and returns what reading it must come to."""
    rng, expected = np.random.default_rng(number), Expected()
    classes = sorted(rng.choice(NAMES, int(rng.choice([1, 2, 3, 4, 5], p=[0.05, 0.35, 0.3, 0.2, 0.1])), replace=False))
    most = int(rng.choice([9, 14, 25]))
    for name in classes:
        count = int(rng.integers(2, most + 1))
        if rng.random() < 0.04:
            count = int(rng.integers(0, 2))
        expected.train[name] = [_image(root / "train" / name, one, rng) for one in range(count)]
        (root / "train" / name).mkdir(parents=True, exist_ok=True)
    others = list(classes) if rng.random() < 0.9 else classes[:-1]
    if rng.random() < 0.06:
        others = [*others, "only in test"]
    if rng.random() < 0.9:
        for name in others:
            (root / "test" / name).mkdir(parents=True, exist_ok=True)
            expected.test[name] = [_image(root / "test" / name, one, rng) for one in range(int(rng.integers(1, 5)))]
    _clutter(root, classes, rng)
    counts = [len(colours) for colours in expected.train.values()]
    if rng.random() < 0.12 and max(counts):
        expected.refused.append(_spoil(root / "train", rng))
    if len(classes) < 2:
        expected.refused.append("one class")
    if min(counts) < 2:
        expected.refused.append("a class of one image or none")
    if sum(counts) - VALIDATION < len(classes):
        expected.refused.append("too few images")
    if set(expected.test) - set(classes):
        expected.refused.append("a class of the test split alone")
    return expected


def _image(folder: Path, number: int, rng: np.random.Generator) -> tuple[float, ...]:
    """Writes an image of one colour, and returns the colour."""
    mode = str(rng.choice([*COLOUR_MODES, *GREY_MODES]))
    ending = str(rng.choice(ENDINGS[mode]))
    width, height = (int(rng.choice([1, 2, 3, 8, 17, 40])) for _ in range(2))
    inner = folder / "more" if rng.random() < 0.05 else folder
    inner.mkdir(parents=True, exist_ok=True)
    path = inner / f"{number:03d} {rng.integers(1000)}.{ending}"
    if mode in GREY_MODES:
        image, grey = _grey(mode, (width, height), rng)
        colour: tuple[float, ...] = (grey,) * 3
    else:
        values = tuple(int(one) for one in rng.integers(0, 256, 3))
        image = Image.new("RGB", (width, height), values).convert(mode)
        colour = tuple(one / 255 for one in values)
    exif = Image.Exif()
    if ending == "webp":
        image.save(path, lossless=True)
    elif ending.lower() in ("jpg", "jpeg", "png", "tif", "tiff") and rng.random() < 0.2:
        exif[0x0112] = int(rng.integers(0, 12))  # from 9 on, no camera means anything by it
        image.save(path, exif=exif)
    else:
        image.save(path)
    return colour


def _grey(mode: str, size: tuple[int, int], rng: np.random.Generator) -> tuple[Image.Image, float]:
    share = float(rng.random())
    shape = size[::-1]
    if mode == "1":
        return Image.new("1", size, int(share > 0.5)), float(share > 0.5)
    if mode == "P":
        image = Image.new("P", size, 1)
        image.putpalette([0, 0, 0, *(3 * [round(255 * share)])])
        return image, share
    if mode == "I;16":
        return Image.fromarray(np.full(shape, round(65535 * share), np.uint16)), share
    if mode == "I":
        return Image.fromarray(np.full(shape, round(65535 * share), np.int32)), share
    if mode == "F":
        return Image.fromarray(np.full(shape, share, np.float32)), share
    return Image.new(mode, size, round(255 * share) if mode == "L" else (round(255 * share), 255)), share


def _clutter(root: Path, classes: list[str], rng: np.random.Generator) -> None:
    """Writes what lies about in folders and is no image of a class."""
    first = root / "train" / classes[0]
    if rng.random() < 0.3:
        hidden = root / "train" / str(rng.choice([".ipynb_checkpoints", "__MACOSX", ".Trash-1000"]))
        hidden.mkdir()
        Image.new("L", (4, 4)).save(hidden / "0-checkpoint.png")
    if rng.random() < 0.3:
        (first / "._0.png").write_bytes(b"\x00\x05\x16\x07")
        (first / ".DS_Store").write_bytes(b"Bud1")
    if rng.random() < 0.3:
        (first / str(rng.choice(["Thumbs.db", "labels.csv", "README", "0.xml", "video.mp4"]))).write_bytes(b"theirs")
    if rng.random() < 0.2:
        (root / "train" / "classes.txt").write_text("cat\ndog\n")
        (root / "val").mkdir()
    if rng.random() < 0.1:
        (first / "loop").symlink_to(first)


def _spoil(train: Path, rng: np.random.Generator) -> str:
    """Makes one image unreadable, and returns its name."""
    images = sorted(path for path in train.rglob("*") if path.is_file() and _is_image(path.relative_to(train)))
    victim = images[int(rng.integers(len(images)))]
    content = victim.read_bytes()
    kind = int(rng.integers(4))
    if kind == 0:
        victim.write_bytes(b"")
    elif kind == 1:
        victim.write_bytes(content[: min(12, len(content) // 2)])
    elif kind == 2:
        victim.write_text("<!DOCTYPE html><title>403 Forbidden</title>")
    else:
        victim.unlink()
        victim.symlink_to(train / "gone")
    return victim.name


def _is_image(path: Path) -> bool:
    endings = {f".{one.lower()}" for several in ENDINGS.values() for one in several}
    return path.suffix.lower() in endings and not any(part.startswith((".", "__MACOSX")) for part in path.parts)
