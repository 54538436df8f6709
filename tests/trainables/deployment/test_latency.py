"""Latencies of several calls: taken in turn, so that a busy machine slows all alike, and never for hours."""

from collections.abc import Callable

from trainables.deployment.latency import FEWEST, SECONDS, milliseconds


class Machine:
    """A clock that calls move by their seconds, times how busy the machine is by then."""

    def __init__(self, busy: Callable[[float], float] = lambda now: 1.0) -> None:
        self.now, self.made = 0.0, ""
        self._busy = busy

    def call(self, name: str, seconds: float) -> Callable[[], object]:
        def made() -> None:
            self.made += name
            self.now += seconds * self._busy(self.now)

        return made


def test_calls_are_made_in_turn_and_every_other_round_backwards() -> None:
    machine = Machine()
    found = milliseconds(
        [machine.call("a", 0.001), machine.call("b", 0.003)], most=3, warm_up=2, clock=lambda: machine.now
    )
    assert machine.made == "ab" + "ba" + "ab" + "ba" + "ab"
    assert [round(p50, 9) for p50, _ in found] == [1.0, 3.0]


def test_a_machine_that_becomes_busy_slows_both_sides_alike() -> None:
    """One after the other, the second would look as slow as the first, although it needs half of its time."""
    machine = Machine(lambda now: 4.0 if now > 0.3 else 1.0)
    (slow, slowest), (quick, quickest) = milliseconds(
        [machine.call("a", 0.002), machine.call("b", 0.001)], warm_up=0, clock=lambda: machine.now
    )
    assert 1.9 < slow / quick < 2.1
    assert 1.9 < slowest / quickest < 2.1


def test_slow_calls_are_timed_less_often() -> None:
    machine = Machine()
    milliseconds([machine.call("a", 1.0)], clock=lambda: machine.now)
    assert SECONDS < machine.now < 1.2 * SECONDS + 3
    machine = Machine()
    milliseconds([machine.call("a", 60.0)], clock=lambda: machine.now)
    assert len(machine.made) == FEWEST + 1
