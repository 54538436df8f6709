"""A process of Ray's that ends while a search needs it."""

import threading
from types import SimpleNamespace

import pytest

from cluster.connection import interrupts as interrupts_module
from cluster.connection import ray_watch
from cluster.connection.interrupts import Interrupts
from cluster.connection.ray_watch import dead_processes, watched


def test_the_loss_of_a_process_is_told_once() -> None:
    dead, told, heard = list[str](), list[str](), threading.Event()

    def gone(reason: str) -> None:
        told.append(reason)
        heard.set()

    with watched(gone, lambda: dead, seconds=0.01):
        assert not heard.wait(0.05)
        dead.append("gcs_server")
        assert heard.wait(5)
    assert told == ["Ray's gcs_server has ended: it was killed, by the kernel for lack of memory or by somebody"]


def test_nothing_is_told_after_the_session() -> None:
    dead, told = list[str](), list[str]()
    with watched(told.append, lambda: dead, seconds=0.01):
        pass
    dead.append("raylet")
    assert told == []
    assert dead_processes() == []  # this process has started none


def test_nothing_is_told_of_processes_that_end_while_the_session_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    left, looking, told = threading.Event(), threading.Event(), list[str]()
    monkeypatch.setattr(ray_watch, "threading", SimpleNamespace(Event=lambda: left, Thread=threading.Thread))

    def dead() -> list[str]:
        looking.set()
        assert left.wait(5)
        return ["raylet"]

    with watched(told.append, dead, seconds=0.01):
        assert looking.wait(5)
    assert told == []


def test_a_process_that_is_abandoned_says_why_and_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[int] = []
    monkeypatch.setattr(interrupts_module, "descendants", lambda pid: [])  # of other tests in this process
    interrupts = Interrupts(left.append)
    interrupts.farewell = lambda: print("`temper resume run` goes on with it")
    interrupts.abandon("Ray's raylet has ended")
    assert left == [1]
    printed = capsys.readouterr()
    assert printed.err == "Ray's raylet has ended\n"
    assert "temper resume run" in printed.out
