"""Data of more than half of the memory lies in files, is the same data, and leaves nothing behind."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.data import memory_mapping
from trainables.data.config import Data
from trainables.data.memory_mapping import mapped_file, new_array
from trainables.data.splits import load_splits, pixel_statistics
from trainables.errors import InvalidInput


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEMPER_DATA", str(tmp_path / "cache"))
    return tmp_path


def test_a_large_set_is_the_same_as_in_memory_and_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (folder / "train" / name).mkdir(parents=True)
        for number in range(12):
            image = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            image.save(folder / "train" / name / f"{number}.png")
    data = Data(name="image_folder", path=str(folder), image_size=8, validation_size=10)
    small = load_splits(data)
    assert mapped_file(small.train.images) is None
    monkeypatch.setattr(memory_mapping, "memory_limit", lambda: 24 * 3 * 64 * 4 * 2 - 8)
    monkeypatch.setattr(memory_mapping, "CHUNK", 3000)
    large = load_splits(data)
    assert "more than half of the memory" in caplog.text
    assert large.fingerprint() == small.fingerprint()
    assert pixel_statistics(data, large.train) == pixel_statistics(data, small.train)
    for part in (large.train, large.validation):
        file = mapped_file(part.images)
        assert file is not None
        assert Path(file).parent == folder / "cache" / "memory_mapped"
        sent = pickle.dumps(part)
        assert len(sent) < 1000  # the name of the file, not its content
        assert np.array_equal(pickle.loads(sent).images, part.images)
        few = pickle.loads(pickle.dumps(part.images[2:5]))
        assert np.array_equal(few, part.images[2:5])


def test_what_fits_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_mapping, "memory_limit", lambda: 800)
    assert mapped_file(new_array((100,), np.float32)) is None


def test_a_disk_without_room_is_refused_with_its_folder(folder: Path) -> None:
    with pytest.raises(InvalidInput, match=r"takes 4000000.0 GB, more than half of the memory.*TEMPER_DATA"):
        new_array((10**15,), np.float32)
    left = list((folder / "cache" / "memory_mapped").iterdir())
    assert sum(path.stat().st_size for path in left) == 0


def test_files_of_a_process_that_is_gone_are_removed_by_the_next(folder: Path) -> None:
    script = (
        "import os, numpy as np\n"
        "from trainables.data import memory_mapping\n"
        "memory_mapping.memory_limit = lambda: 10\n"
        "memory_mapping.new_array((100,), np.float32)\n"
        "if {killed}: os._exit(9)\n"
    )
    cache = folder / "cache" / "memory_mapped"
    subprocess.run([sys.executable, "-c", script.format(killed=True)], check=False)
    assert len(list(cache.iterdir())) == 1
    subprocess.run([sys.executable, "-c", script.format(killed=False)], check=True)
    assert list(cache.iterdir()) == []
