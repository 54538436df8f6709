"""What the signals that end a process do: at once, deferred, twice, and where they are ignored."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from cluster.connection.interrupts import Interrupted, Interrupts, descendants, end, started_with
from tests.support.faults import until

NUMBERS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


class Left(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def clock() -> list[float]:
    return [0.0]


@pytest.fixture
def interrupts(clock: list[float]) -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in NUMBERS}

    def leave(code: int) -> None:
        raise Left(code)

    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also where the tests run under nohup
    made = Interrupts(leave, lambda: clock[0])
    made.listen()
    try:
        yield made
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), NUMBERS.items())
def test_a_signal_is_raised_at_once_with_its_exit_code(interrupts: Interrupts, number: int, code: int) -> None:
    with pytest.raises(Interrupted) as raised:
        os.kill(os.getpid(), number)
    assert raised.value.code == code
    assert signal.Signals(number).name in raised.value.reason


def test_a_forked_process_of_others_ends_by_the_signal_as_if_none_listened(interrupts: Interrupts) -> None:
    ready, tells = os.pipe()
    child = os.fork()
    if not child:
        os.write(tells, b".")  # before, Python drops signals that came to its parent
        time.sleep(60)
        os._exit(1)
    os.read(ready, 1)
    os.kill(child, signal.SIGTERM)
    _, status = os.waitpid(child, 0)
    os.close(ready)
    os.close(tells)
    assert os.WTERMSIG(status) == signal.SIGTERM
    interrupts.check()


def test_while_it_is_deferred_it_is_raised_in_a_check_or_at_the_end(interrupts: Interrupts) -> None:
    done: list[str] = []

    def work() -> None:
        with interrupts.deferred():
            with interrupts.deferred():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            done.append("outer")

    with pytest.raises(Interrupted):
        work()
    assert done == ["inner", "outer"]


def test_an_error_that_follows_from_the_signal_is_not_told_instead_of_it(interrupts: Interrupts) -> None:
    def work(signalled: bool) -> None:
        with interrupts.deferred():
            if signalled:
                os.kill(os.getpid(), signal.SIGTERM)
            raise ConnectionError("Ray is gone")

    with pytest.raises(ConnectionError):
        work(False)
    with pytest.raises(Interrupted):
        work(True)


def test_what_rays_handler_raises_for_a_signal_is_the_signal_and_is_handled_here_again(interrupts: Interrupts) -> None:
    def ray_starts(code: int | None) -> None:
        with interrupts.exits():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            if code is not None:
                sys.exit(code)

    with pytest.raises(SystemExit):
        ray_starts(1)
    ray_starts(None)
    assert signal.getsignal(signal.SIGTERM) == interrupts._receive
    with pytest.raises(Interrupted) as raised:
        ray_starts(15)
    assert raised.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == interrupts._receive


def test_signals_are_handled_here_again_where_ray_fails_to_start(interrupts: Interrupts) -> None:
    def ray_fails() -> None:
        with interrupts.exits():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            raise ConnectionError

    with pytest.raises(ConnectionError):
        ray_fails()
    assert signal.getsignal(signal.SIGTERM) == interrupts._receive


def test_a_check_raises_it_again_where_it_was_swallowed(interrupts: Interrupts) -> None:
    interrupts.check()
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGHUP)
    for _ in range(2):
        with pytest.raises(Interrupted):
            interrupts.check()


def test_two_signals_in_a_row_are_one_and_a_later_one_ends_the_process_and_what_it_started(
    interrupts: Interrupts, clock: list[float]
) -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    said: list[str] = []
    interrupts.farewell = lambda: said.append("resume")
    with pytest.raises(Interrupted):
        os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGTERM)  # while what the first one ended is cleaned up
    assert child.poll() is None
    clock[0] += 3
    with pytest.raises(Left, match="143"):
        os.kill(os.getpid(), signal.SIGTERM)
    assert child.wait(10) == -signal.SIGKILL
    assert said == ["resume"]


def test_a_caller_who_goes_on_gets_its_handlers_back_and_hears_of_an_interrupt() -> None:
    before = {number: signal.getsignal(number) for number in NUMBERS}
    made, said = Interrupts(), []
    for _ in range(2):  # the second search of a notebook is interrupted as the first one was
        with pytest.raises(Interrupted), made.listening(lambda: said.append("resume")):
            os.kill(os.getpid(), signal.SIGINT)
        assert {number: signal.getsignal(number) for number in NUMBERS} == before
        made.check()
    with made.listening(lambda: said.append("never")), made.listening(lambda: said.append("nor this")):
        assert signal.getsignal(signal.SIGINT) != before[signal.SIGINT]
    assert {number: signal.getsignal(number) for number in NUMBERS} == before
    assert said == ["resume", "resume"]


def test_a_signal_that_is_ignored_as_by_nohup_stays_ignored(interrupts: Interrupts) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.listen()
    os.kill(os.getpid(), signal.SIGHUP)


def test_children_of_children_are_ended_too() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    child = subprocess.Popen([sys.executable, "-c", code])
    (grandchild,) = until(lambda: descendants(child.pid), lambda: child.poll() is None)
    assert {child.pid, grandchild} <= set(descendants(os.getpid()))
    assert not started_with("no such text")
    mine = started_with("time.sleep(600)")
    assert mine == [child.pid, grandchild]
    end(mine)
    child.wait(10)
    until(lambda: grandchild not in descendants(1), lambda: True, seconds=10)
