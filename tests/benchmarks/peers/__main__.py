"""Runs searches on tables and compares them.

    python -m tests.benchmarks.peers run [--tables …] [--peers …] [--seeds 20] [--results FOLDER]
    python -m tests.benchmarks.peers report [--tables …] [--peers …] [--results FOLDER]

A search whose result is in the folder already, for the same table and versions, is not run again, so `run` goes on
where it was stopped. `report` reads the folder only.
"""

import argparse
import logging
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before NumPy and PyTorch are imported, hence the imports below

from tests.benchmarks.peers.accounting import Step, search
from tests.benchmarks.peers.optimizers.peer import Budget
from tests.benchmarks.peers.optimizers.registry import ENTRANTS, OURS
from tests.benchmarks.peers.report import report
from tests.benchmarks.peers.results import COMPUTE, COUNTED, TRIALS, Cell, Results, found_by
from tests.benchmarks.peers.tables.outside import chosen, outside_table
from tests.benchmarks.peers.tables.recordings import recorded_table
from tests.benchmarks.peers.tables.table import Table

RESULTS = Path(__file__).parent / "found"
RECORDED = ("digits", "digits_wide", "fashion_mnist", "fashion_mnist_3000")
MOST = 200  # recipes of one search on a table that is none of Temper's


def table_named(source: str) -> Table:
    """Make a table: an outside one, family:data set, or that of a recording, by name or path."""
    return outside_table(source) if source in chosen(99) else recorded_table(source)


def budget_of(table: Table, counted: str) -> Budget:
    """What one search on a table may spend."""
    if counted == COUNTED:
        return Budget(TRIALS)
    return Budget(len(table.entries) if table.planned else MOST, table.budget)


def steps_of(source: str, table: Table, peer: str, budget: Budget, seed: int) -> list[Step]:
    """Run one search: Temper's on a recording in the product's simulation, any other asked and told."""
    if peer == OURS and table.planned is not None:
        from tests.benchmarks.peers.optimizers.temper import simulated

        return simulated(source, table, budget, seed)
    return search(table, ENTRANTS[peer].make(), budget, seed)


def run(
    sources: Sequence[str],
    peers: Sequence[str],
    seeds: int,
    results: Results,
    budgets: Sequence[str] = (COUNTED, COMPUTE),
) -> None:
    """Run every search that is not in the results yet: all optimizers with one seed, then with the next."""
    here = [name for name in peers if ENTRANTS[name].is_here]
    print("".join(f"{name}: not installed here, left out\n" for name in peers if name not in here), end="")
    for source in sources:
        table = table_named(source)
        for seed in range(seeds):
            for name in here:
                for counted in budgets:
                    cell = Cell(table.name, table.digest, name, ENTRANTS[name].version(), counted, seed)
                    if cell in results:
                        continue
                    begun = time.process_time()
                    steps = steps_of(source, table, name, budget_of(table, counted), seed)
                    found = found_by(table, steps, time.process_time() - begun)
                    results.add(cell, found)
                    print(
                        f"{table.name}, {name}, {counted}, seed {seed}: {len(steps)} steps, {found.seconds:.1f} s",
                        flush=True,
                    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("--tables", nargs="+", default=[*RECORDED, *chosen()])
    parser.add_argument("--peers", nargs="+", choices=list(ENTRANTS), default=list(ENTRANTS))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--budgets", nargs="+", choices=[COUNTED, COMPUTE], default=[COUNTED, COMPUTE])
    parser.add_argument("--results", type=Path, default=RESULTS)
    given = parser.parse_args()
    results = Results(given.results)
    if given.command == "run":
        logging.disable(logging.WARNING)  # of SMAC and NePS: no line of theirs is about the results
        warnings.simplefilter("ignore", FutureWarning)
        run(given.tables, given.peers, given.seeds, results, given.budgets)
    else:
        others = [name for name in given.peers if name != OURS]
        print("\n\n\n".join(report(table_named(source), results, others) for source in given.tables))


if __name__ == "__main__":
    main()
