"""Ray reads its environment when it is imported, so it is set before any test module; and the table of faults."""

from cluster.connection.session import prepare_environment

prepare_environment(None)

import os  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable, Iterator  # noqa: E402
from dataclasses import asdict  # noqa: E402

import pytest  # noqa: E402

from tests.support.faults import FAULT, Row, table, write  # noqa: E402
from tests.support.order import longest_first  # noqa: E402
from trainables.user_modules import STUDY_FOLDER  # noqa: E402


@pytest.fixture(autouse=True)
def _own_folders() -> Iterator[None]:
    """Forgets after each test in which folders a user's modules were found, so that no other test finds them there."""
    paths, told = sys.path[:], os.environ.get(STUDY_FOLDER)
    yield
    sys.path[:] = paths
    os.environ.pop(STUDY_FOLDER, None)
    if told is not None:
        os.environ[STUDY_FOLDER] = told


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    longest_first(items)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--write-faults", action="store_true", help="Write the table of faults to cluster/README.md.")


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Takes a row for the table of faults, which the end of the run shows."""
    return lambda row: request.node.user_properties.append((FAULT, asdict(row)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    passed = terminalreporter.getreports("passed")
    rows = [Row(**value) for report in passed for name, value in report.user_properties if name == FAULT]
    if rows:
        terminalreporter.section("faults")
        for line in table(rows):
            terminalreporter.write_line(line)
        if terminalreporter.config.getoption("--write-faults"):
            write(rows)
