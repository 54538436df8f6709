"""Temporary folders of Ray sessions: those of killed processes are cleared, those of living ones are not."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.connection import session_folder as module
from cluster.connection.session_folder import LOCK, remove_abandoned, session_folder
from tests.support.checkout import ROOT
from trainables.errors import InvalidInput

HOLD = """
import time
from cluster.connection.session_folder import session_folder
with session_folder() as folder:
    (folder / "session").mkdir()
    (folder / "session" / "raylet.out").write_text("...")
    print(folder, flush=True)
    time.sleep(60)
"""
SEARCH = """
import time
from cluster.connection.session import Target, prepare_environment, session
prepare_environment(None)
with session(Target(), cpus=1):
    print("begun", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def temporary() -> Iterator[Path]:
    """A folder for temporary files with a short path, as Ray's sockets need it, and the only one that is looked at."""
    with (
        tempfile.TemporaryDirectory(prefix="t-", dir="/tmp", ignore_cleanup_errors=True) as place,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("TMPDIR", place)
        patch.setattr(tempfile, "tempdir", None)
        patch.setattr(module, "ELSEWHERE", ())  # other sessions of this machine have their folders there
        yield Path(place)
    tempfile.tempdir = None


def start(code: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment)


def told(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_folder_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(temporary: Path) -> None:
    killed, living = start(HOLD), start(HOLD)
    try:
        abandoned, kept = Path(told(killed)), Path(told(living))
        kill(killed)
        assert abandoned.is_dir()
        with session_folder() as mine:
            assert sorted(temporary.iterdir()) == sorted([kept, mine])
            remove_abandoned()  # nor does a process remove its own
            assert sorted(temporary.iterdir()) == sorted([kept, mine])
        assert (kept / "session" / "raylet.out").read_text() == "..."
        assert sorted(temporary.iterdir()) == [kept]
    finally:
        kill(living)
    remove_abandoned()
    assert list(temporary.iterdir()) == []


def abandoned_folder(place: Path, name: str = "temper-ray-abandoned") -> Path:
    folder = place / name
    folder.mkdir()
    (folder / LOCK).write_text("")
    return folder


def test_what_is_not_ours_is_left_alone(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_lock = temporary / "temper-ray-0123"  # of a version that held none
    without_lock.mkdir()
    other = abandoned_folder(temporary, "ray")
    linked = temporary / "temper-ray-link"
    linked.symlink_to(other)
    mine = abandoned_folder(temporary)
    (mine / "out").symlink_to(other)  # what a link in it leads to is not followed
    stranger = os.geteuid() + 1
    with monkeypatch.context() as patch:
        patch.setattr(os, "geteuid", lambda: stranger)
        remove_abandoned()
    assert mine.is_dir()
    remove_abandoned()
    assert sorted(temporary.iterdir()) == sorted([without_lock, other, linked])
    assert (other / LOCK).exists()


def test_what_cannot_be_removed_yet_is_left_to_the_next(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = abandoned_folder(temporary)
    (folder / "session").mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", lambda *_, **__: None)  # as if Ray, still ending, wrote there again
        remove_abandoned()
    assert (folder / LOCK).exists()
    remove_abandoned()
    assert not folder.exists()


@pytest.mark.parametrize("moment", ["before the lock", "while the lock is taken"])
def test_a_folder_that_another_session_clears_while_this_one_starts_is_made_anew(
    temporary: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    take = module._take
    taken: list[Path] = []

    def late(lock: int, path: Path) -> bool:
        if not taken:  # only the first: between the file and its lock, all goes as if the session were dead
            taken.append(path.parent)
            if moment == "before the lock":
                shutil.rmtree(path.parent)
            else:
                holder = os.open(path, os.O_RDWR)
                assert take(holder, path)
                try:
                    return take(lock, path)
                finally:
                    shutil.rmtree(path.parent)
                    os.close(holder)
        return take(lock, path)

    monkeypatch.setattr(module, "_take", late)
    with session_folder() as folder:
        assert folder != taken[0]
        assert list(temporary.iterdir()) == [folder]


def test_a_disk_without_locks_still_gives_a_folder(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError("no locks available")

    abandoned = abandoned_folder(temporary)
    monkeypatch.setattr(fcntl, "flock", refused)
    with session_folder() as folder:
        assert not (folder / LOCK).exists()
        assert sorted(temporary.iterdir()) == sorted([abandoned, folder])
    assert list(temporary.iterdir()) == [abandoned]


@pytest.mark.slow
def test_a_killed_driver_s_ray_folder_is_removed_by_the_next_session(temporary: Path) -> None:
    driver = start(SEARCH)
    assert told(driver) == "begun"
    (folder,) = temporary.glob("temper-ray-*")
    assert list(folder.glob("session_*"))
    kill(driver)
    deadline = time.monotonic() + 30
    while folder.exists():  # its raylet may take a moment to end, and write meanwhile
        assert time.monotonic() < deadline
        remove_abandoned()
        time.sleep(0.1)
    another = start(SEARCH)
    assert told(another) == "begun"
    kill(another)


@pytest.mark.parametrize("name", ["x" * 115, "x" * 15, "ü"])
def test_a_folder_that_rays_sockets_cannot_have_is_not_taken(
    temporary: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / name))
    monkeypatch.setattr(module, "ELSEWHERE", (str(temporary),))
    assert module.session_place() == temporary
    with session_folder() as folder:
        assert folder.parent == temporary


def test_without_any_fit_folder_each_is_named_with_its_reason(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ELSEWHERE", ("/nowhere", "/proc"))
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    assert module.session_place() == temporary
    monkeypatch.setattr(module, "ROOM", 10**18)
    with pytest.raises(InvalidInput) as refused:
        module.session_place()
    told = str(refused.value)
    assert told.startswith(f"TMPDIR: no folder is fit for Ray's temporary files: {temporary} has ")
    assert "/nowhere cannot be used (No such file or directory)" in told
    assert "/proc cannot be used (" in told
