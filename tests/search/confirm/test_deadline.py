"""How long a confirmation may take, and what it asks all the time meanwhile."""

import pytest

from search.confirm.confirm import TimeIsOver, deadline
from search.record.lease import Lost


def test_it_raises_once_the_hours_are_over() -> None:
    now, asked = [100.0], []
    check = deadline(0.5, lambda: asked.append(now[0]), lambda: now[0])
    check()
    now[0] += 1799
    check()
    now[0] += 1
    with pytest.raises(TimeIsOver, match=r"0\.5 hours are over \(--max-hours\)"):
        check()
    assert asked == [100.0, 1899.0, 1900.0]


def test_without_a_limit_it_only_asks_whether_the_run_is_still_held() -> None:
    now = [0.0]
    check = deadline(None, lambda: None, lambda: now[0])
    now[0] = 1e12
    check()

    def lost() -> None:
        raise Lost("another driver has it")

    with pytest.raises(Lost):
        deadline(None, lost)()
