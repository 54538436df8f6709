"""Notices that a local session of Ray has lost a process that it cannot do without.

Ray itself waits for it for a minute, and then ends this process with an error of its own that says nothing of the run.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

NEEDED = ("gcs_server", "raylet")
CHECK_SECONDS = 1.0


def dead_processes() -> list[str]:
    """Returns the names of the needed processes that this process has started and that have ended."""
    from ray._private import worker

    node = worker._global_node
    return [] if node is None else [name for name, _ in node.dead_processes() if name in NEEDED]


@contextmanager
def watched(
    gone: Callable[[str], object],
    dead: Callable[[], Sequence[str]] = dead_processes,
    seconds: float = CHECK_SECONDS,
) -> Iterator[None]:
    """Looks after Ray's processes in a thread for as long as the context lasts.

    Args:
        gone: is called in that thread, once, with what has happened in words.
        dead: returns the names of the needed processes that have ended.
        seconds: from one look to the next.
    """
    left = threading.Event()

    def watch() -> None:
        while not left.wait(seconds):
            if names := dead():
                if not left.is_set():
                    gone(f"Ray's {names[0]} has ended: it was killed, by the kernel for lack of memory or by somebody")
                return

    thread = threading.Thread(target=watch, name="temper-ray-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        left.set()
        thread.join()
