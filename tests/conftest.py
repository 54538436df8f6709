"""Ray reads its environment when it is imported, so it is set before any test module."""

import pytest

from cluster.session import prepare_environment

prepare_environment(None)

LONGEST = (
    "test_search_command.py",
    "test_search_resume.py",
)  # whole searches begin first, side by side


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)
