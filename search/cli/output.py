"""Makes standard output and standard error such that printing never ends a command, whatever they lead to.

A search goes on for hours after `| head` has closed its pipe, on a terminal that knows no ε, or with its output in a
file on a disk that has become full. What could not be printed is remembered, and a command whose result is what it
prints fails at its end.
"""

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from errno import EPIPE
from typing import Any, TextIO


class _Tolerant(io.RawIOBase):
    """Writes to a file descriptor; an error is remembered in `failure`, and nothing is written from then on."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any) -> int:
        content = memoryview(data)
        while self.failure is None:
            try:
                return os.write(self._descriptor, content)
            except BlockingIOError:  # somebody else has made the pipe or terminal non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                self.failure = error
        return content.nbytes


class Outputs:
    """Standard output and standard error of this process, as `make_tolerant` has made them."""

    def __init__(self) -> None:
        self._raw: list[_Tolerant] = []
        self._excused = False

    def make_tolerant(self) -> None:
        """Replace sys.stdout and sys.stderr. A descriptor that is closed leads to nowhere from now on."""
        for descriptor in range(3):
            try:
                os.fstat(descriptor)
            except OSError:  # else the next file that is opened gets its number, and what is printed goes into it
                with suppress(OSError):
                    os.open(os.devnull, os.O_RDWR)
        sys.stdout, sys.stderr = self._tolerant(sys.stdout, 1), self._tolerant(sys.stderr, 2)

    def excuse(self) -> None:
        """Say that the command's result is kept elsewhere, so that it does not fail by what could not be printed."""
        self._excused = True

    def failure(self) -> OSError | None:
        """Return why standard output could not be written, where the command must fail by that; None otherwise.

        A reader that has closed the pipe, as `head` does, has all that it wanted.
        """
        with suppress(OSError, ValueError):
            sys.stdout.flush()
        error = self._raw[0].failure if self._raw else None
        return None if error is None or self._excused or error.errno == EPIPE else error

    def _tolerant(self, stream: TextIO | None, descriptor: int) -> TextIO:
        if stream is not None:
            with suppress(OSError):
                stream.flush()
        raw = _Tolerant(descriptor)
        self._raw.append(raw)
        encoding = None if stream is None else stream.encoding
        return io.TextIOWrapper(io.BufferedWriter(raw), encoding=encoding, errors="replace", line_buffering=True)


OUTPUTS = Outputs()  # of this process


@contextmanager
def alone(wanted: bool) -> Iterator[None]:
    """Send what is printed meanwhile, by the user's code and what it starts, to standard error if `wanted`.

    So a command's data stand alone on standard output.
    """
    if not wanted:
        yield
        return
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)
