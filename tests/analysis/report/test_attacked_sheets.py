"""Images under attack on the page: whose, as far as there is room, and only of the same images."""

import io
from base64 import b64decode
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from analysis.report import attacked_sheets
from analysis.run.trials import read_run
from analysis.tables.trials import finished
from tests.support.run_directories import add, start
from trainables.evaluation.attacked_images import AttackedImages
from trainables.storage import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A base, a reference, and three proposals, of which the last is dominated."""
    start(tmp_path)
    add(tmp_path, "base", role="base", name="base", robust=0.1, flops=0.0)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.8, flops=1e10)
    for number, robust in enumerate((0.6, 0.7, 0.5)):
        add(tmp_path, f"p{number}", number=2 + number, robust=robust, flops=1e8 * 2**number)
    return tmp_path


def keep(root: Path, name: str, shift: int, *, channels: int = 1, seed: int = 0) -> AttackedImages:
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 200, (3, channels, 8, 8), dtype=np.uint8)
    kept = AttackedImages(images, images + np.uint8(shift), *3 * [np.array([0, 1, 2])])
    kept.write(Folder(str(root)).child("trials", name))
    return kept


def sheets(root: Path, *first: str) -> dict[str, Any] | None:
    run = read_run(Folder(str(root)))
    return attacked_sheets.attacked_sheets(run, finished(run), first)


def decoded(png: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(b64decode(png))))


def test_they_are_those_of_the_frontier_and_of_what_is_fixed(root: Path) -> None:
    assert sheets(root) is None
    kept = {name: keep(root, name, shift) for shift, name in enumerate(("base", "pgd", "p0", "p1", "p2"), start=10)}
    found = sheets(root, "p0", "unknown")
    assert found is not None
    assert list(found["of"]) == ["p0", "pgd", "p1", "base"]
    assert (found["count"], found["factor"], found["labels"]) == (3, 127 // 13, [0, 1, 2])
    row = np.concatenate(list(kept["pgd"].images[:, 0]), axis=1)
    np.testing.assert_array_equal(decoded(found["clean"]), row)
    assert (decoded(found["of"]["p0"]["changes"]) == 12).all()


def test_they_end_where_there_is_no_more_room(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pgd", "p0", "p1"):
        keep(root, name, 20)
    whole = sheets(root)
    assert whole is not None
    sizes = [len(str(entry)) for entry in whole["of"].values()]
    monkeypatch.setattr(attacked_sheets, "ROOM", sum(sizes[:2]))
    found = sheets(root)
    assert found is not None
    assert list(found["of"]) == list(whole["of"])[:2]


def test_only_the_same_images_stand_side_by_side(root: Path) -> None:
    keep(root, "pgd", 20)
    keep(root, "p0", 20, seed=1)
    found = sheets(root)
    assert found is not None
    assert list(found["of"]) == ["pgd"]


@pytest.mark.parametrize(("channels", "shape"), [(1, (8, 24)), (2, (8, 24)), (3, (8, 24, 3)), (4, (8, 24))])
def test_any_number_of_channels_can_be_shown(root: Path, channels: int, shape: tuple[int, ...]) -> None:
    kept = keep(root, "pgd", 20, channels=channels)
    found = sheets(root)
    assert found is not None
    clean = decoded(found["clean"])
    assert clean.shape == shape
    expected = kept.images[1, :, 4, 5] if channels == 3 else kept.images[1, :, 4, 5].mean().round()
    np.testing.assert_array_equal(clean[4, 8 + 5], expected)
