"""Searches on several hosts that lose processes, hosts and links, and go on: `make test-slow`, `make test-thorough`."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.faults import (
    SETTINGS,
    Row,
    changes,
    check,
    outcomes,
    reference_of,
    running,
    seconds_to_recover,
    until,
)
from tests.support.hosts import Hosts, require_hosts

pytestmark = [pytest.mark.slow, pytest.mark.alone, pytest.mark.timeout(400)]
HEAD, LEFT, RIGHT = 0, 1, 2


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[Hosts]:
    """A head without a CPU, and two workers with room for all trials of the search on either."""
    require_hosts()
    with Hosts(3, tmp_path) as made:
        made.start(HEAD, [LEFT, RIGHT], cpus=2)
        yield made


def temper(hosts: Hosts, host: int, place: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The command on a host, joined to the cluster."""
    command = [sys.executable, "-m", "search", *arguments, "--address", hosts.address]
    return hosts.popen(host, command, place / "driver.log")


def search(hosts: Hosts, place: Path, *settings: str) -> subprocess.Popen[bytes]:
    arguments = ["search", "digits", "--storage", str(place), "--name", "run", *changes([*SETTINGS, *settings])]
    return temper(hosts, HEAD, place, *arguments)


def finish(driver: subprocess.Popen[bytes], place: Path) -> str:
    """What the search printed, once it has ended well."""
    assert driver.wait(timeout=300) == 0, (place / "driver.log").read_text()
    return (place / "driver.log").read_text()


def on(hosts: Hosts, name: str) -> int:
    return next(host for host in (HEAD, LEFT, RIGHT) if hosts.name(host) == name)


def test_a_node_that_loses_power(hosts: Hosts, tmp_path: Path, measured: Callable[[Row], None]) -> None:
    driver, run = search(hosts, tmp_path), tmp_path / "run"
    base = until(lambda: running(run, 1), lambda: driver.poll() is None)
    until(lambda: base[0] in outcomes(run), lambda: driver.poll() is None)
    # The base lies where it was trained; those who start from it must find it when that host is gone.
    lost = on(hosts, base[1])
    trial, _ = until(lambda: running(run, 4, not_on=hosts.name(LEFT + RIGHT - lost)), lambda: driver.poll() is None)
    moment = time.time()
    hosts.kill(lost)
    finish(driver, tmp_path)
    finished, missing = check(run, repeated=trial)
    assert missing == 0
    seconds = seconds_to_recover(run, trial, moment)
    measured(Row("node killed", 3, finished, missing, seconds, "the trial goes on elsewhere from its last epoch"))


@pytest.mark.thorough
def test_a_link_that_is_cut_and_heals(hosts: Hosts, tmp_path: Path, measured: Callable[[Row], None]) -> None:
    driver, run = search(hosts, tmp_path, "baselines.0.schedule.epochs=40"), tmp_path / "run"
    trial, name = until(lambda: running(run, 4), lambda: driver.poll() is None)
    moment = time.time()
    hosts.cut(on(hosts, name))
    until(lambda: list((run / "trials" / trial / "attempts").glob("2-*")), lambda: driver.poll() is None)
    hosts.heal(on(hosts, name))
    finish(driver, tmp_path)
    finished, missing = check(run)  # the host went on to write the epoch in progress, so nothing need be repeated
    assert missing == 0
    hosts.kill(on(hosts, name))  # Ray has given it up, so it has to join anew
    hosts.join(on(hosts, name))
    assert len(hosts.alive(3)) == 3
    seconds = seconds_to_recover(run, trial, moment)
    note = "the trial goes on elsewhere; once healed, the host joins again"
    measured(Row("link cut, then healed", 3, finished, missing, seconds, note))


@pytest.mark.thorough
def test_a_node_that_is_taken_back(hosts: Hosts, tmp_path: Path, measured: Callable[[Row], None]) -> None:
    # Not one retry: the loss of a node that was announced does not count as a failure.
    settings, run = ["baselines.0.schedule.epochs=60", "budget.retries=0"], tmp_path / "run"
    driver, trial = search(hosts, tmp_path, *settings), reference_of([*SETTINGS, *settings])
    _, name = until(lambda: running(run, 4, name=trial), lambda: driver.poll() is None)
    hosts.drain(on(hosts, name), seconds=4)
    time.sleep(4)  # the notice that was given
    assert trial not in outcomes(run)
    moment = time.time()
    hosts.kill(on(hosts, name))
    finish(driver, tmp_path)
    finished, missing = check(run, repeated=trial)
    assert missing == 0
    seconds = seconds_to_recover(run, trial, moment)
    measured(Row("node preempted (drained, then gone)", 3, finished, missing, seconds, "no retry is used up"))


@pytest.mark.thorough
def test_head_and_driver_are_lost_and_another_head_resumes(
    hosts: Hosts, tmp_path: Path, measured: Callable[[Row], None]
) -> None:
    driver, run = search(hosts, tmp_path, "baselines.0.schedule.epochs=40"), tmp_path / "run"
    trial, _ = until(lambda: running(run, 6), lambda: driver.poll() is None)
    moment = time.time()
    hosts.kill(HEAD)
    assert driver.wait(timeout=30) != 0
    before = outcomes(run)
    assert trial not in before
    hosts.kill(LEFT)
    hosts.kill(RIGHT)
    hosts.start(LEFT, [RIGHT], cpus=2)
    began = time.time()
    output = finish(temper(hosts, LEFT, tmp_path, "resume", str(run)), tmp_path)
    assert f"{len(before)} recipes have ended before" in output
    assert before.items() <= outcomes(run).items()
    finished, missing = check(run)  # the trial ended its epoch without a driver, or did not
    assert missing == 0
    seconds = seconds_to_recover(run, trial, moment)
    note = f"`temper resume` on another head; {began - moment:.0f} s of it to start that"
    measured(Row("head and driver killed", 3, finished, missing, seconds, note))
