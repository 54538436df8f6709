"""The table of `make coverage`, against a report worked out by hand."""

from typing import Any

from tests.support.coverage_table import table


def of(lines: int, reached: int, branches: int = 0, branches_reached: int = 0) -> dict[str, Any]:
    summary = {"num_statements": lines, "covered_lines": reached}
    return {"summary": summary | {"num_branches": branches, "covered_branches": branches_reached}}


def test_packages_add_up_and_files_below_nine_tenths_are_listed_from_the_least() -> None:
    files = {
        "search/__init__.py": of(0, 0),
        "search/budget.py": of(10, 9),
        "search/study/loading.py": of(30, 30, 10, 5),
        "cluster/doctor/findings.py": of(20, 4),
    }
    assert [line.split() for line in table({"files": files})] == [
        ["lines", "branches"],
        ["total", "71.7%", "50.0%"],
        ["cluster", "20.0%", "–"],
        ["search", "97.5%", "50.0%"],
        ["2", "of", "4", "files", "below", "90%,", "lines", "and", "branches", "together"],
        ["cluster/doctor/findings.py", "20.0%", "–"],
        ["search/study/loading.py", "100.0%", "50.0%"],
    ]
