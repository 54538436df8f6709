"""A folder is listed whatever other processes do to it meanwhile."""

import threading
from pathlib import Path

import pytest

from trainables.storage import Folder


def test_a_folder_that_another_makes_and_removes_meanwhile_is_listed(tmp_path: Path) -> None:
    folder, ended = tmp_path / "now and then", threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            folder.mkdir()
            folder.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(10_000):  # one in 65 failed where it was looked for once
            assert Folder(str(folder)).names() == []
    finally:
        ended.set()
        other.join()


@pytest.mark.parametrize(
    "uri", ["runs", "runs/", "./runs", "runs//", "{here}/runs", "{here}//runs/", "file://{here}/runs"]
)
def test_a_local_folder_is_written_in_many_ways(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Folder(uri.format(here=tmp_path))
    assert folder.local == tmp_path / "runs"
    assert folder.child("a", "b").local == tmp_path / "runs" / "a" / "b"
    folder.child("a").write_json("x.json", {"one": 1})
    assert folder.names() == ["a"]
    assert folder.child("a").read_json("x.json") == {"one": 1}
    assert folder.anchored() == Folder(f"{tmp_path}/runs")
    assert folder.exists()
    assert folder.size() > 0
    folder.remove()
    assert not (tmp_path / "runs").exists()


def test_the_root_is_a_folder_too() -> None:
    assert Folder("/").local == Path("/")
    assert "tmp" in Folder("/").names()
