"""Keeps the result of every search in a file, one line each, so that none is run again for the same versions."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.peers.accounting import Step, after_trials, grown, reached
from tests.benchmarks.peers.tables.table import Table

LEVELS = (0.8, 0.95)  # of the hypervolume of a table's region
TRIALS = 20  # of a search whose budget is trials, Temper's default
COMPUTE, COUNTED = "compute", "trials"  # what a budget counts


@dataclass(frozen=True)
class Cell:
    """The key of one search: change anything of it, and the search is another one.

    Attributes:
        table: name of the table.
        digest: the table's digest.
        peer: name of the optimizer.
        version: what its results depend on.
        budget: what its budget counts, `COMPUTE` or `COUNTED`.
        seed: its seed.
    """

    table: str
    digest: str
    peer: str
    version: str
    budget: str
    seed: int


@dataclass(frozen=True)
class Found:
    """What one search found.

    Attributes:
        entries: numbers of the recipes in the order in which they were trained, as often as they went on.
        spent: share of the table's budget that had been spent after each.
        region: share of the region's hypervolume that had been found after each.
        reached: share of the budget after which each of `LEVELS` was reached; None: not within it.
        after_trials: share of the region's hypervolume after `TRIALS` recipes.
        seconds: processor time that the search took, s.
    """

    entries: list[int]
    spent: list[float]
    region: list[float]
    reached: list[float | None]
    after_trials: float
    seconds: float


def found_by(table: Table, steps: list[Step], seconds: float) -> Found:
    """Summarise a search."""
    spent, region = grown(table, steps)
    shares = [reached(spent, region, level) for level in LEVELS]
    return Found(
        entries=[step.entry for step in steps],
        spent=[round(float(one), 6) for one in spent],
        region=[round(float(one), 6) for one in region],
        reached=[None if np.isinf(one) else one for one in shares],
        after_trials=after_trials(steps, region, TRIALS),
        seconds=round(seconds, 2),
    )


class Results:
    """A file of results, to which lines are only added."""

    def __init__(self, path: Path) -> None:
        """Read what is there. A last line that was cut short is left out: its search runs again."""
        self._path = path
        self._known: dict[Cell, Found] = {}
        for line in path.read_text().splitlines() if path.is_file() else []:
            try:
                read = json.loads(line)
            except json.JSONDecodeError:
                continue
            self._known[Cell(**read["cell"])] = Found(**read["found"])

    def __contains__(self, cell: object) -> bool:
        return cell in self._known

    def add(self, cell: Cell, found: Found) -> None:
        """Add a result, in one write, so that two processes may add to one file."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        line = json.dumps({"cell": asdict(cell), "found": asdict(found)})
        with self._path.open("a+b") as file:
            file.seek(0, os.SEEK_END)
            cut = file.tell() > 0 and not _ends_a_line(self._path)
            file.write((b"\n" if cut else b"") + line.encode() + b"\n")
        self._known[cell] = found

    def seeds(self, table: str, digest: str, peer: str, budget: str) -> dict[int, Found]:
        """Return the results of an optimizer by seed; of several versions, those of the version that was added last."""
        those = [(cell, found) for cell, found in self._known.items() if cell.table == table and cell.digest == digest]
        those = [(cell, found) for cell, found in those if cell.peer == peer and cell.budget == budget]
        if not those:
            return {}
        newest = those[-1][0].version
        return {cell.seed: found for cell, found in those if cell.version == newest}


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
