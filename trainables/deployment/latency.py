"""Measures how long calls take, several beside each other in one run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

CALLS, WARM_UP = 200, 20  # timed calls of each, and untimed ones before them
FEWEST, SECONDS = 20, 30.0  # where calls are slow, all of them take about so long, and each is timed at least so often


@dataclass(frozen=True)
class Latency:
    """Time that one call takes.

    Attributes:
        p50: median, in ms.
        p95: 95th percentile, in ms.
        images: number of images in a call.
        threads: number of threads that computed it.
    """

    p50: float
    p95: float
    images: int
    threads: int


def milliseconds(
    calls: Sequence[Callable[[], object]],
    *,
    most: int = CALLS,
    warm_up: int = WARM_UP,
    clock: Callable[[], float] = time.perf_counter,
) -> list[tuple[float, float]]:
    """Measures calls in turn, so that a busy machine slows all of them alike, and returns p50 and p95 of each, in ms.

    Args:
        calls: what is called.
        most: timed rounds, at most.
        warm_up: untimed rounds before them, at most.
        clock: returns a time in seconds.
    """
    _rounds(calls, warm_up, 1, SECONDS / 10, clock)
    taken = (np.percentile(times, [50, 95]) for times in _rounds(calls, most, FEWEST, SECONDS, clock))
    return [(float(p50), float(p95)) for p50, p95 in taken]


def _rounds(
    calls: Sequence[Callable[[], object]], most: int, fewest: int, seconds: float, clock: Callable[[], float]
) -> list[list[float]]:
    """Returns the milliseconds of each call in turn; every other round goes backwards, so that none is always last."""
    taken: list[list[float]] = [[] for _ in calls]
    began = clock()
    for number in range(most):
        if number >= fewest and clock() - began > seconds:
            break
        order = list(range(len(calls)))
        for place in order[::-1] if number % 2 else order:
            started = clock()
            calls[place]()
            taken[place].append(1000 * (clock() - started))
    return taken
