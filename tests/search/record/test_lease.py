"""One driver at a time holds a run: what a living, a dead, a stopped and a slow driver make of a second one."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from search.record import lease as module
from search.record.claim import claims
from search.record.holder import GONE, RUNNING, STOPPED, state_of, this_process
from search.record.lease import Held, Lease, Lost, acquire, ask_to_stop, await_end, has_ended
from tests.support.checkout import ROOT
from tests.support.faults import until
from trainables.errors import InvalidInput, MachineFault
from trainables.storage import Folder

HOLD = """
import sys, time
from search.record.lease import Lost, acquire
from trainables.storage import Folder
with acquire(Folder(sys.argv[1]), beat=0.1, length=1.0) as lease:
    print("holds", flush=True)
    while True:
        time.sleep(0.05)
        try:
            lease.check()
        except Lost as error:
            print(error, flush=True)
            break
"""


@pytest.fixture
def run(tmp_path: Path) -> Folder:
    folder = Folder(str(tmp_path / "run"))
    folder.write_json("run.json", {})
    return folder


@pytest.fixture
def driver(run: Folder) -> Iterator["subprocess.Popen[str]"]:
    """Another process that holds the run, with a lease of a second."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(run)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def try_to_hold(run: Folder, said: Callable[[str], object] = lambda text: None) -> Lease:
    return acquire(run, say=said, beat=0.1, length=1.0)


def test_a_run_beside_whose_driver_another_one_begins_is_refused_at_once_in_words(
    run: Folder, driver: "subprocess.Popen[str]"
) -> None:
    began = time.monotonic()
    with pytest.raises(Held, match=rf"run: process {driver.pid} on .* works on it; wait until it ends, or end it"):
        try_to_hold(run)
    assert time.monotonic() - began < 0.5
    driver.kill()
    driver.wait()
    with try_to_hold(run) as lease:
        assert lease.term == 2
    assert run.child("lease", "2").names() == ["claim.json", "released"]


def test_a_stopped_driver_loses_its_run_notices_and_writes_nothing_more(
    run: Folder, driver: "subprocess.Popen[str]"
) -> None:
    driver.send_signal(signal.SIGSTOP)
    until(lambda: state_of(holder(run)) == STOPPED, lambda: driver.poll() is None)
    said: list[str] = []
    with try_to_hold(run, said.append) as lease:
        before = run.child("lease", "1").names()
        driver.send_signal(signal.SIGCONT)
        output, _ = driver.communicate(timeout=20)
        assert driver.returncode == 0
        assert f"process {os.getpid()} on" in output
        assert "has gone on with this run" in output
        assert run.child("lease", "1").names() == before
        lease.check()
    assert "is stopped; waiting up to" in said[0]


def test_a_claim_that_is_just_being_written_is_read_again(run: Folder) -> None:
    """Of two that begin at once, the later one sees the other's claim empty, and learns who it is a moment after."""
    claim = run.child("lease", "1")
    claim.write("claim.json", b"")
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        claim.write_json("claim.json", this_process())

    with pytest.raises(Held, match=rf"process {os.getpid()} on .* works on it"):
        acquire(run, sleep=sleep)
    assert len(naps) == 1


def test_a_driver_elsewhere_is_known_by_its_beats_alone(
    run: Folder, driver: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "state_of", lambda holder: None)  # as for a process on another machine
    with pytest.raises(Held, match="works on it"):
        try_to_hold(run)
    driver.kill()
    driver.wait()
    assert try_to_hold(run).term == 2


def test_a_clock_that_jumps_takes_no_run_from_a_living_driver(
    run: Folder, driver: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "state_of", lambda holder: None)
    monkeypatch.setattr(module, "_age", lambda *_: 3600.0)
    with pytest.raises(Held):
        try_to_hold(run)


def test_of_two_that_go_on_with_a_dead_drivers_run_one_is_refused(run: Folder) -> None:
    first = try_to_hold(run)
    assert first.term == 1
    ahead = run.child("lease", "2")
    ahead.write_json("claim.json", this_process() | {"pid": 2**30})  # somebody who claimed it, and died before a beat
    with try_to_hold(run) as third:
        assert third.term == 3
    with pytest.raises(Lost):
        _outdated(first).check()


def test_a_run_without_its_run_json_is_left_as_it_is_at_the_end(run: Folder) -> None:
    """It may have been moved by hand; what was trained before must not be removed."""
    run.child("trials", "a").write_json("outcome.json", {})
    with try_to_hold(run):
        run.delete("run.json")
    assert run.child("trials", "a").exists("outcome.json")
    with try_to_hold(run) as second:
        second.is_new = True  # as of a search that has begun, and whose run.json was removed since
    assert run.child("trials", "a").exists("outcome.json")


def test_a_driver_whose_folder_is_moved_notices_and_makes_it_not_anew(
    run: Folder, driver: "subprocess.Popen[str]"
) -> None:
    assert run.local is not None
    run.local.rename(run.local.parent / "elsewhere")
    output, _ = driver.communicate(timeout=20)
    assert output.startswith(f"{run}: the folder was moved or removed")
    assert not run.exists()
    assert (run.local.parent / "elsewhere" / "run.json").exists()


def test_two_threads_that_notice_a_loss_at_once_tell_of_it_once(run: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    lease, told, both = try_to_hold(run), list[str](), threading.Barrier(2)
    lease.on_lost = lambda: told.append("lost")
    run.child("lease", "2").write_json("claim.json", this_process())

    def slow_words(holder: dict[str, Any]) -> str:
        with suppress(threading.BrokenBarrierError):  # only one comes so far
            both.wait(0.3)
        return "another"

    monkeypatch.setattr(module, "words", slow_words)
    threads = [threading.Thread(target=lease._look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told == ["lost"]


def test_a_folder_that_is_away_for_a_part_of_a_lease_is_waited_for_and_not_made_anew(run: Folder) -> None:
    lease, away = try_to_hold(run), Path(f"{run}.away")
    Path(str(run)).rename(away)
    for _ in range(5):  # how many looks miss it does not matter, but for how long
        lease._look()
    with pytest.raises(OSError, match="the folder is gone, or its storage is away"):
        lease._renew()
    assert lease.lost is None
    assert not run.exists()
    away.rename(str(run))
    lease._look()
    lease._renew()
    assert lease._missed is lease.lost is None
    Path(str(run)).rename(away)
    lease._look()
    assert lease._missed is not None
    lease._missed -= 0.5 * lease.length
    lease._look()
    assert str(lease.lost).startswith("the folder was moved or removed")
    assert not run.exists()


def test_a_driver_that_notices_only_at_its_end_that_it_has_lost_leaves_the_others_run(tmp_path: Path) -> None:
    run, told = Folder(str(tmp_path / "new")), list[str]()
    with acquire(run, beat=60.0) as lease:  # so that it has not looked when it ends
        lease.is_new, lease.on_lost = True, lambda: told.append("lost")
        run.child("lease", "2").write_json("claim.json", this_process())
        run.write("study.yaml", b"")
    assert told == ["lost"]
    assert run.names() == ["lease", "study.yaml"]
    assert "released" not in run.child("lease", "1").names()
    lease.lost = None
    lease._release()  # as where it could not look
    assert run.exists("study.yaml")


def test_a_process_is_told_from_another_one_of_the_same_number() -> None:
    me = this_process()
    assert state_of(me) == RUNNING
    assert state_of(me | {"started": 1}) == GONE
    assert state_of(me | {"pid": 2**30}) == GONE
    for other in ({"boot": "another"}, {"namespace": "another"}, {"pid": "?"}):
        assert state_of(me | other) is None
    assert state_of({}) is None


def holder(run: Folder) -> dict[str, Any]:
    return dict(json.loads(run.child("lease", "1").read("claim.json")))


def _outdated(lease: Lease) -> Lease:
    """The lease, last renewed long ago, as for a driver that was stopped."""
    lease._renewed -= 1e6
    return lease


def began(run: Folder, number: int, *, ended: bool = False) -> None:
    """A session of a search."""
    place = run.child("sessions", str(number))
    place.write_json("began.json", {"when": "2026-11-28T08:00:00+00:00", "host": "here", "hours_before": 0.0})
    if ended:
        place.write_json(
            "ended.json", {"why": "finished", "reason": "all", "when": "2026-11-28T09:00:00+00:00", "hours": 1.0}
        )


def test_a_holder_hears_that_it_is_asked_to_stop_and_the_next_one_does_not(run: Folder) -> None:
    with try_to_hold(run) as lease:
        began(run, 1)
        assert ask_to_stop(run) == f"process {os.getpid()} on {socket.gethostname()}"
        assert not has_ended(run)
        until(lambda: lease.asked is not None, lambda: True)
        assert str(lease.asked).startswith("asked to stop by ")
        assert str(lease.asked).endswith(f" on {socket.gethostname()}")
        lease.check()  # the run is its own until it ends
    assert has_ended(run)
    with try_to_hold(run) as lease:
        time.sleep(0.3)
        assert lease.asked is None


def test_who_confirms_cannot_be_asked_to_stop(run: Folder) -> None:
    """A killed search left its session open, so that a search seems to be at work."""
    began(run, 1)
    told = "by `temper confirm`, which cannot be asked"
    with acquire(run, purpose="confirm"), pytest.raises(InvalidInput, match=told):
        ask_to_stop(run)


def test_who_waits_for_a_driver_elsewhere_that_is_dead_is_told(run: Folder) -> None:
    with try_to_hold(run) as lease:
        began(run, 1)
        place = run.child("lease", str(lease.term))
        (name,) = claims(place)
        place.write_json(name, place.read_json(name) | {"host": "elsewhere", "boot": "another"})
        waited = threading.Thread(target=await_end, args=(run,), kwargs={"length": 1.0})
        waited.start()
        waited.join(2.5)  # it renews its lease, so it lives
        assert waited.is_alive()
    waited.join(10)
    assert not waited.is_alive()
    place.delete("released")
    with pytest.raises(MachineFault, match=r"on elsewhere gives no sign of life for 1 s.*`temper resume"):
        await_end(run, length=1.0)


def test_a_torn_request_counts(run: Folder) -> None:
    with try_to_hold(run) as lease:
        run.child("lease", "1").write("stop", b"{")
        until(lambda: lease.asked is not None, lambda: True)
        assert lease.asked == "asked to stop by somebody"


def test_where_no_search_works_nobody_can_be_asked(run: Folder, driver: "subprocess.Popen[str]") -> None:
    with pytest.raises(InvalidInput, match="no search works on it"):
        ask_to_stop(run)  # it is held, but no search began
    began(run, 1, ended=True)
    with pytest.raises(InvalidInput, match="no search works on it"):
        ask_to_stop(run)  # a confirmation holds it, say
    began(run, 2)
    ask_to_stop(run)
    driver.kill()
    driver.wait()
    with pytest.raises(InvalidInput, match="no search works on it"):
        ask_to_stop(run)
    assert not run.child("lease").child("2").names()
