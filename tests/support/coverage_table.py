"""Prints how much of each package the tests reach, and the files of which they reach least.

Run as `python -m tests.support.coverage_table FILE`, on the JSON report that `make coverage` leaves.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENOUGH = 0.9  # files of which less is reached are listed


@dataclass(frozen=True)
class Reached:
    """Lines and branches that there are, and those of them that tests reach; adds up.

    Attributes:
        lines: statements.
        branches: ways out of statements that have two or more.
    """

    lines: int = 0
    lines_reached: int = 0
    branches: int = 0
    branches_reached: int = 0

    @classmethod
    def of(cls, summary: Mapping[str, int]) -> "Reached":
        """Of one file, as coverage.py's JSON report sums it up."""
        return cls(
            summary["num_statements"],
            summary["covered_lines"],
            summary["num_branches"],
            summary["covered_branches"],
        )

    def __add__(self, other: "Reached") -> "Reached":
        return Reached(
            self.lines + other.lines,
            self.lines_reached + other.lines_reached,
            self.branches + other.branches,
            self.branches_reached + other.branches_reached,
        )

    @property
    def share(self) -> float:
        """Of lines and branches together, 0–1; 1 for an empty file."""
        whole = self.lines + self.branches
        return (self.lines_reached + self.branches_reached) / whole if whole else 1.0

    def row(self, name: str) -> str:
        """A row of the table."""
        return f"{name:<48}{_percent(self.lines_reached, self.lines)}{_percent(self.branches_reached, self.branches)}"


def table(report: Mapping[str, Any]) -> list[str]:
    """The rows to print: the total, each package, and the files below `ENOUGH`, from the least.

    Args:
        report: of coverage.py, in JSON.
    """
    files = {name: Reached.of(one["summary"]) for name, one in report["files"].items()}
    packages: dict[str, Reached] = defaultdict(Reached)
    for name, reached in files.items():
        packages[Path(name).parts[0]] += reached
    below = sorted((one for one in files.items() if one[1].share < ENOUGH), key=lambda one: one[1].share)
    return [
        f"{'':<48}{'lines':>9}{'branches':>9}",
        sum(packages.values(), Reached()).row("total"),
        *(reached.row(name) for name, reached in sorted(packages.items())),
        f"{len(below)} of {len(files)} files below {ENOUGH:.0%}, lines and branches together",
        *(reached.row(name) for name, reached in below),
    ]


def _percent(reached: int, whole: int) -> str:
    return f"{reached / whole:>9.1%}" if whole else f"{'–':>9}"


if __name__ == "__main__":
    print("\n".join(table(json.loads(Path(sys.argv[1]).read_text()))))
