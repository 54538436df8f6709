"""Tries the files of a bundle in fresh processes, on all validation images, and its program on image files."""

import io
import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from analysis.bundle.fresh import LENGTH
from trainables.errors import InvalidInput
from trainables.models.build import frozen

ALIKE = 0.99  # share of the validation images that a file must label as the trained network does
BATCH = 256  # images per pass
Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def check_files(
    folder: Path, network: nn.Module, images: Images, done: Callable[[int], object] = lambda count: None
) -> dict[str, float]:
    """Return the share of images, 0–1, that each file labels as the trained network does, in a fresh process.

    Weights are tried in the program of torch.export; where there is none, in the network that Temper rebuilds.

    Args:
        folder: the bundle.
        network: the trained network, on the CPU.
        images: all validation images (n, channels, height, width).
        done: is told how many of them have been tried.

    Raises:
        InvalidInput: a file cannot be loaded there, or labels images otherwise.
    """
    modules = ["fresh"] if (folder / "model.pt2").exists() else ["fresh", "rebuilt"]
    alike: Counter[str] = Counter()
    with frozen(network), torch.no_grad():
        for number, module in enumerate(modules):
            with _labelling(module, folder) as label:
                for start in range(0, len(images), BATCH):
                    batch = np.ascontiguousarray(images[start : start + BATCH])
                    expected = network(torch.from_numpy(batch)).argmax(1).numpy()
                    alike.update({name: int((found == expected).sum()) for name, found in label(batch).items()})
                    done((number * len(images) + start + len(batch)) // len(modules))
    shares = {name: count / len(images) for name, count in alike.items()}
    worst = min(shares, key=lambda name: shares[name])
    if shares[worst] < ALIKE:
        raise InvalidInput(
            f"--bundle: {worst}: labels {shares[worst]:.1%} of the validation images as the trained network "
            f"does, expected {ALIKE:.0%}"
        )
    return shares


def check_program(folder: Path, image: Images, expected: int) -> None:
    """Run predict.py on an image as an array, and as a picture.

    Args:
        folder: the bundle.
        image: (channels, height, width).
        expected: number of the class that model.onnx says it is of.

    Raises:
        InvalidInput: it does not run, names another class first, or says something else of an image file than of the
            same pixels.
    """
    with tempfile.TemporaryDirectory() as place:
        shown = _image_files(image, Path(place))
        command = [sys.executable, str(folder / "predict.py"), *map(str, shown)]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise _unusable(ran.stderr)
    said = [line.removeprefix(str(path)) for line, path in zip(ran.stdout.splitlines(), shown, strict=True)]
    label = json.loads((folder / "config.json").read_text())["labels"][expected]
    if not re.match(rf"  {re.escape(label)} \d\.\d{{3}}(  |$)", said[0]):
        raise InvalidInput(f"--bundle: predict.py: says {said[0]!r} of a validation image, expected {label} first")
    if len(set(said[1:])) > 1:
        raise InvalidInput(f"--bundle: predict.py: says {said[2]!r} of an image file, expected {said[1]!r}")


@contextmanager
def _labelling(module: str, folder: Path) -> Iterator[Callable[[Images], dict[str, Labels]]]:
    """Start a process that has loaded the files, and give what asks it for labels by the name of the file."""
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-m", f"analysis.bundle.{module}", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        given, told = process.stdin, process.stdout

        def label(images: Images) -> dict[str, Labels]:
            content = io.BytesIO()
            np.save(content, images)
            with suppress(BrokenPipeError):  # it has ended, so that no line comes
                given.write(len(content.getbuffer()).to_bytes(LENGTH, "little") + content.getvalue())
                given.flush()
            if not (line := told.readline()):
                process.wait()
                errors.seek(0)
                raise _unusable(errors.read())
            return {name: np.array(found) for name, found in json.loads(line).items()}

        try:
            yield label
        finally:
            with suppress(BrokenPipeError):
                given.close()  # no more images, so it ends
            process.wait()


def _unusable(errors: str) -> InvalidInput:
    last = (errors.strip() or "no words").splitlines()[-1]
    return InvalidInput(f"--bundle: a fresh process cannot use what was written ({last})")


def _image_files(image: Images, place: Path) -> list[Path]:
    """Write an image as an array, and, where a picture can hold it, in eight bits as an array and as a picture."""
    written = [place / "image.npy"]
    np.save(written[0], image)
    if len(image) in (1, 3):
        pixels = (image * 255).round().astype(np.uint8)
        written += [place / "rounded.npy", place / "rounded.png"]
        np.save(written[1], pixels / np.float32(255))
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(written[2])
    return written
