"""Pauses Python's garbage collector where very many objects are made of which none is to be thrown away."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused() -> Iterator[None]:
    """Collects no cycles inside. A fifth of the time of reading 10,000 trials went into looking for garbage among them.

    Objects whose last reference goes are freed as ever. If it was paused before, it stays so.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
