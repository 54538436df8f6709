"""Folders: listed whatever other processes do to them meanwhile, and read side by side where they are remote."""

import json
import os
import shlex
import threading
import time
from errno import ENOSPC
from pathlib import Path
from types import SimpleNamespace

import pytest
from pyarrow import fs

from trainables import local_files, storage
from trainables.data.memory_mapping import data_root
from trainables.errors import InvalidInput
from trainables.storage import AT_ONCE, Folder, for_each
from trainables.user_path import user_path


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


def test_what_is_to_last_is_on_the_disk_with_the_folders_that_were_made_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = []

    def sync(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path.relative_to(tmp_path).as_posix().partition(".json.")[0], path.is_dir()))

    monkeypatch.setattr(os, "fsync", sync)
    trial = Folder(str(tmp_path), ("trials", "one"))
    trial.write_json("beat.json", 1)
    assert synced == []
    trial.remove()
    (tmp_path / "trials").rmdir()
    trial.write_json("recipe.json", 1, lasting=True)
    before_it_has_its_name = ("trials/one/recipe", False)
    assert synced == [before_it_has_its_name, ("trials/one", True), ("trials", True), (".", True)]
    synced.clear()
    trial.write_json("outcome.json", 1, lasting=True)
    assert synced == [("trials/one/outcome", False), ("trials/one", True)]


def test_a_file_that_the_disk_does_not_take_in_the_end_is_an_error_and_has_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(ENOSPC, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="full"):
        Folder(str(tmp_path)).write_json("outcome.json", 1, lasting=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [float("nan"), 1e-300, 2**70, "\udcff.png", "ü", [{"a": None}, True]])
def test_json_is_read_as_python_reads_it(value: object, tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("x.json", json.dumps(value).encode())
    assert repr(folder.read_json("x.json")) == repr(value)


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b'{"a": 1}]', b'"\xff"'])
def test_damaged_json_is_refused(content: bytes, tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    folder.write("x.json", content)
    with pytest.raises(ValueError, match=r"line 1 column|codec"):
        folder.read_json("x.json")


def test_the_root_is_a_folder_too() -> None:
    assert Folder("/").local == Path("/")
    assert "tmp" in Folder("/").names()


def test_stamps_tell_what_has_changed_on_every_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(storage, "_remote", lambda uri: (bucket, "lab"))
    for folder in (Folder(str(tmp_path / "lab")), Folder("s3://lab")):
        folder.child("a").write("b.json", b"123")
        ((moment, size), *absent) = folder.stamps(["a/b.json", "a/c.json", "d"])
        assert (size, absent) == (3, [(0, 0), (0, 0)])
        os.utime(tmp_path / "lab" / "a" / "b.json", ns=(0, moment - 10**9))
        assert folder.stamps(["a/b.json"]) == [(moment - 10**9, 3)]


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


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("~nobody-of-that-name/x", "key: got ~nobody-of-that-name/x, of which no home folder is known"),
        ("a\0b", r"key: got 'a\\x00b', expected the characters of a path"),
        ("\ud800", r"key: got '\\ud800', expected the characters of a path"),
        ("x" * 300, r"key: got 'x{199}, expected another path \(File name too long\)"),
        ("x/" * 3000, r"key: got 'x/.*, expected another path \(File name too long\)"),
    ],
)
def test_a_path_that_cannot_be_is_refused_in_words(text: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        user_path(text, "key")


def test_an_account_without_a_home_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_242_424)
    with pytest.raises(InvalidInput, match="key: got ~/x, of which no home folder is known"):
        user_path("~/x", "key")
    monkeypatch.delenv("TEMPER_DATA", raising=False)
    with pytest.raises(InvalidInput, match=r"TEMPER_DATA: got ~/\.cache/temper, of which no home folder is known"):
        data_root()
    monkeypatch.setenv("TEMPER_DATA", "/data")
    assert data_root() == Path("/data")


def test_other_paths_are_taken_whether_anything_lies_there_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    assert user_path("~/été", "key") == tmp_path / "été"
    assert user_path(str(tmp_path), "key") == tmp_path
    assert user_path(str(tmp_path / "file" / "below"), "key") == tmp_path / "file" / "below"


def test_a_kept_folder_that_is_away_is_waited_for_and_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, away = tmp_path / "runs", tmp_path / "away"
    trials = Folder(str(runs)).child("one", "trials")
    trials.child("a").write("recipe.json", b"{}")
    trial, naps = trials.anchored().kept().child("a"), list[float]()

    def back(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) % 3 == 0:
            away.rename(runs)

    monkeypatch.setattr(local_files, "time", SimpleNamespace(sleep=back, monotonic=time.monotonic))
    for task in (
        lambda: trial.write("outcome.json", b"done", lasting=True),
        lambda: trial.child("checkpoint", "1").write("state.json", b"{}"),
        lambda: trial.child("attempts").make(),
        lambda: trial.read("recipe.json"),
        lambda: trial.names(),
    ):
        runs.rename(away)
        task()
    assert len(naps) == 15
    assert trial.names() == ["attempts", "checkpoint", "outcome.json", "recipe.json"]
    assert trial.read("outcome.json") == b"done"
    with pytest.raises(FileNotFoundError):  # the folder stands, so it is the file that is missing
        trial.read("nothing")
    assert trial.child("nothing").names() == []
    assert len(naps) == 15


@pytest.mark.parametrize("mount_point", [False, True])
def test_a_kept_folder_that_stays_away_is_a_fault_of_the_storage_in_words(mount_point: bool, tmp_path: Path) -> None:
    """An empty mount point that can be written, or the run's folder without what is in it, is as good as none."""
    trials = Folder(str(tmp_path / "one")).child("trials")
    trials.child("a").write("recipe.json", b"{}")
    (tmp_path / "one").rename(tmp_path / "away")
    if mount_point:
        (tmp_path / "one").mkdir()
    trial = trials.kept(patience=0.0).child("a")
    told = f"{tmp_path}/one/trials: the folder is gone, or its storage is away"
    for task in (
        lambda: trial.write("outcome.json", b"done"),
        lambda: trial.make(),
        lambda: trial.read("recipe.json"),
        lambda: trial.names(),
    ):
        with pytest.raises(OSError, match=told) as found:
            task()
        assert not isinstance(found.value, FileNotFoundError)
    assert not (tmp_path / "one" / "trials").exists()
    assert (tmp_path / "one").exists() == mount_point
