"""A driver's session as the run directory keeps it: when it began, how it ended, and what the next one counts on."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from analysis.run.sessions import End, hours_spent, read_sessions
from analysis.run.trials import read_run
from search.record.driver_session import driver_session
from search.record.lease import Lost
from tests.support.run_directories import start
from trainables.errors import InvalidInput
from trainables.storage import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    start(tmp_path)
    return Folder(str(tmp_path))


def test_a_session_says_who_began_it_and_what_closed_it(folder: Folder) -> None:
    clock = [100.0]
    with driver_session(folder, "temper search digits", resumes=False, clock=lambda: clock[0]) as closing:
        began = folder.child("sessions", "1").read_json("began.json")
        assert not folder.child("sessions", "1").exists("ended.json")
        closing.closed("0.5 hours are over")
        clock[0] += 1800
    assert (began["host"], began["pid"]) == (socket.gethostname(), os.getpid())
    assert began["command"] == "temper search digits"
    assert began["hours_before"] == 0.0
    (session,) = read_sessions(folder)
    assert (session.end, session.reason, session.hours) == (End.FINISHED, "0.5 hours are over", 0.5)
    assert session.ended is not None
    assert session.ended >= session.began


ENDS: list[tuple[BaseException, End, str]] = [
    (KeyboardInterrupt(), End.INTERRUPTED, "Ctrl-C (SIGINT)"),
    (InvalidInput("trials/a: its checkpoint is gone"), End.FAILED, "trials/a: its checkpoint is gone"),
    (ValueError(), End.FAILED, "ValueError"),
]


@pytest.mark.parametrize(("error", "end", "reason"), ENDS)
def test_what_ends_a_session_is_recorded_and_raised(
    folder: Folder, error: BaseException, end: End, reason: str
) -> None:
    with pytest.raises(type(error)), driver_session(folder, "temper", resumes=False):
        raise error
    (session,) = read_sessions(folder)
    assert (session.end, session.reason) == (end, reason)


def test_a_driver_that_has_lost_its_run_writes_no_end(folder: Folder) -> None:
    with pytest.raises(Lost), driver_session(folder, "temper", resumes=False):
        raise Lost("another driver has gone on with this run")
    assert folder.child("sessions", "1").names() == ["began.json"]


def test_a_storage_that_cannot_be_written_does_not_hide_what_ended_the_session(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    session = driver_session(folder, "temper", resumes=False)
    session.__enter__()
    monkeypatch.setattr(Folder, "write_json", full)
    error = KeyboardInterrupt()
    assert not session.__exit__(KeyboardInterrupt, error, None)  # raised again, and no OSError in its place
    assert not folder.child("sessions", "1").exists("ended.json")


def test_sessions_are_numbered_from_1_and_the_unrecorded_one_of_an_older_version_has_its_number(folder: Folder) -> None:
    for _ in range(2):
        with driver_session(folder, "temper", resumes=True):
            pass
    assert [session.number for session in read_sessions(folder)] == [2, 3]


def test_hours_add_up_over_sessions(folder: Folder) -> None:
    clock, before = [0.0], 0.0
    for number in range(3):
        with driver_session(folder, "", resumes=number > 0, hours_before=before, clock=lambda: clock[0]):
            clock[0] += 360
        clock[0] += 1e6
        before = hours_spent(read_run(folder))
        assert before == pytest.approx(0.1 * (number + 1))
