"""Keeps the result of every search in a file of its table, one line each, so that none is run again.

The files are part of the checkout: a search is run once for the same versions, on whatever machine.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.benchmarks.peers.accounting import Step, after_trials, grown, reached
from tests.benchmarks.peers.tables.table import Array, Table

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
        steps: how often it trained a recipe, or trained one further.
        growth: share of the table's budget that had been spent, and share of the region's hypervolume that had been
            found, after each step that found more, and after the last one.
        reached: share of the budget after which each of `LEVELS` was reached; None: not within it.
        after_trials: share of the region's hypervolume after `TRIALS` recipes.
        seconds: processor time that the search took, s.
    """

    steps: int
    growth: list[list[float]]
    reached: list[float | None]
    after_trials: float
    seconds: float


def found_by(table: Table, steps: list[Step], seconds: float) -> Found:
    """Summarise a search."""
    spent, region = grown(table, steps)
    shares = [reached(spent, region, level) for level in LEVELS]
    return Found(
        steps=len(steps),
        growth=_growth(spent, region),
        reached=[None if np.isinf(one) else one for one in shares],
        after_trials=after_trials(steps, region, TRIALS),
        seconds=round(seconds, 2),
    )


def _growth(spent: Array, region: Array) -> list[list[float]]:
    before = np.concatenate([[0.0], region[:-1]])
    kept = np.flatnonzero(region > before).tolist()
    rows = kept if kept and kept[-1] == len(region) - 1 else [*kept, len(region) - 1]
    return [[round(float(spent[row]), 4), round(float(region[row]), 4)] for row in rows if row >= 0]


class Results:
    """A folder of results, a file for each table, to which lines are only added."""

    def __init__(self, folder: Path) -> None:
        """Read what is there. A last line that was cut short is left out: its search runs again."""
        self._folder = folder
        self._known: dict[Cell, Found] = {}
        for path in sorted(folder.glob("*.jsonl")):
            for line in path.read_text().splitlines():
                try:
                    read = json.loads(line)
                except json.JSONDecodeError:
                    continue
                self._known[Cell(**read["cell"])] = Found(**read["found"])

    def __contains__(self, cell: object) -> bool:
        return cell in self._known

    def add(self, cell: Cell, found: Found) -> None:
        """Add a result, in one write, so that two processes may add to one file."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{cell.table}.jsonl"
        line = json.dumps({"cell": asdict(cell), "found": asdict(found)}, separators=(",", ":"))
        with path.open("a+b") as file:
            file.seek(0, os.SEEK_END)
            cut = file.tell() > 0 and not _ends_a_line(path)
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
