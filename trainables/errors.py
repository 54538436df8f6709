"""Defines the exceptions that Temper raises on purpose, each with the exit code of the command that it ends."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager


class TemperError(Exception):
    """Base of all exceptions that Temper raises on purpose; the message names the cause and the fix."""

    exit_code = 1


class InvalidInput(TemperError):
    """Raised where the user's input cannot be run; `problems` holds every problem that was found, a line each."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Unsound(InvalidInput):
    """Raised for a cluster on which a search would go wrong; `problems` holds every finding with its fix."""


class NoTrialSucceeded(TemperError):
    """Raised where a search ended without a single finished recipe."""

    exit_code = 3


class MachineFault(TemperError):
    """Raised where a search ends by a fault of its machine, which is no trial's: it goes on once the fault is gone."""


class StorageFull(MachineFault):
    """Raised where the storage has no room left for a file of the run, or cannot be written any more."""


@contextmanager
def typed_as(options: Mapping[str, str]) -> Iterator[None]:
    """Names each problem by what the user typed, where a key of a study was filled in from it.

    Args:
        options: what was typed, such as `--weights`, by the beginnings of messages, such as `pretrained.path`. The
            longest that fits is taken.
    """
    try:
        yield
    except InvalidInput as error:
        keys = [max((key for key in options if one.startswith(key)), key=len, default="") for one in error.problems]
        named = [options.get(key, "") + one.removeprefix(key) for key, one in zip(keys, error.problems)]
        if named == list(error.problems):
            raise
        raise InvalidInput(*named) from error


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message; the name of its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
