"""Which tests begin first: whole searches are the longest, so they run side by side with all others."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONGEST = ("test_search_command.py", "test_search_resume.py")  # relative to this folder


def longest_first(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front."""
    items.sort(key=lambda item: not is_among_the_longest(item))


def is_among_the_longest(item: pytest.Item) -> bool:
    return item.path.relative_to(TESTS).as_posix() in LONGEST
