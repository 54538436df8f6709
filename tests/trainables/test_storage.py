"""Folders: listed whatever other processes do to them meanwhile, and read side by side where they are remote."""

import shlex
import threading
from pathlib import Path

import pytest

from trainables.storage import AT_ONCE, Folder, for_each


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


def test_tasks_on_remote_storage_wait_side_by_side() -> None:
    together = threading.Barrier(AT_ONCE, timeout=10)

    def task(number: int) -> int:
        together.wait()  # a task that began only after another one ended would break it
        return 10 * number

    assert for_each(Folder("s3://lab/runs"), task, range(2 * AT_ONCE)) == [10 * one for one in range(2 * AT_ONCE)]


def test_local_tasks_run_one_after_the_other_in_the_callers_thread(tmp_path: Path) -> None:
    threads = for_each(Folder(str(tmp_path)), lambda _: threading.current_thread(), range(3))
    assert threads == 3 * [threading.current_thread()]


def test_an_error_of_a_task_is_the_callers() -> None:
    def task(number: int) -> int:
        return 1 // number

    with pytest.raises(ZeroDivisionError):
        for_each(Folder("s3://lab/runs"), task, [1, 0, 2])


@pytest.mark.parametrize(
    "uri", ["/runs/a b", "/runs/it's", "s3://lab/runs?scheme=http&endpoint_override=here%3A9000", "/runs/plain"]
)
def test_a_folder_is_typed_so_that_a_shell_takes_it_for_one_word(uri: str) -> None:
    folder = Folder(uri).child("run")
    assert shlex.split(f"temper status {folder.typed}") == ["temper", "status", str(folder)]
    assert (folder.typed == str(folder)) == (uri == "/runs/plain")
