"""Which tests begin first: whole searches are the longest, so they run side by side with all others."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LONGEST = tuple(f"end_to_end/test_{name}.py" for name in ("command", "resume", "confirm"))  # relative to tests/


def longest_first(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front."""
    items.sort(key=lambda item: not is_among_the_longest(item))


def is_among_the_longest(item: pytest.Item) -> bool:
    return item.path.relative_to(TESTS).as_posix() in LONGEST
