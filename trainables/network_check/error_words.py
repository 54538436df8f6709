"""Says in words what an exception in a network means: in which layer, in which line of the user's, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from trainables.errors import InvalidInput
from trainables.models.error_places import location
from trainables.user_errors import described


@contextmanager
def in_words(problem: str, advice: str = "") -> Iterator[None]:
    """Turns any exception of the context into InvalidInput in words.

    The message has the form `problem (KeyError: 'x') in layer head.1 (Linear), net.py line 12; expected advice`.
    Refusals that Temper has worded itself pass as they are.

    Args:
        problem: what cannot be done, after the study's key.
        advice: what is expected instead, or what the user can do; empty: nothing is added.

    Raises:
        InvalidInput: in place of the exception.
    """
    try:
        yield
    except InvalidInput:
        raise
    except (Exception, SystemExit) as error:  # user's code may raise anything, and parse arguments of its own
        told = f"({described(error)}){location(error)}"
        raise InvalidInput(f"{problem} {told}" + (f"; {advice}" if advice else "")) from error
