"""Ray reads its environment when it is imported, so it is set before any test module; and the table of faults."""

from cluster.connection.session import prepare_environment

prepare_environment(None)

from collections.abc import Callable  # noqa: E402
from dataclasses import asdict  # noqa: E402

import pytest  # noqa: E402

from tests.support.faults import FAULT, Row, table, write  # noqa: E402
from tests.support.order import longest_first  # noqa: E402


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
