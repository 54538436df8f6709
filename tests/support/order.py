"""Which tests begin first, and which keep to one process where several share the tests."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LONGEST = ("end_to_end/test_command.py", "end_to_end/test_resume.py")  # relative to tests/


def longest_first(items: list[pytest.Item]) -> None:
    """Move the tests of the longest files to the front."""
    items.sort(key=lambda item: not is_among_the_longest(item))


def group(items: list[pytest.Item]) -> None:
    """Name the group of each test for `--dist loadgroup`: clusters of several nodes one after another, else by file.

    Two clusters of namespaces at once would take each other's processor time for lost nodes.
    """
    for item in items:
        path = item.path.relative_to(TESTS)
        clusters = path.parts[0] in ("on_clusters", "cluster")
        item.add_marker(pytest.mark.xdist_group("clusters" if clusters else path.as_posix()))


def is_among_the_longest(item: pytest.Item) -> bool:
    return item.path.relative_to(TESTS).as_posix() in LONGEST
