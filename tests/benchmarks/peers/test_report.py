"""What is printed: losses first, ratios and their bounds, pairs of the same seeds only."""

from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.peers.optimizers.registry import OURS
from tests.benchmarks.peers.report import by_compute, by_trials, report
from tests.benchmarks.peers.results import COMPUTE, Cell, Found, Results
from tests.benchmarks.peers.tables.toy import toy_table


def runs(shares: Sequence[float | None], after: float = 0.5) -> dict[int, Found]:
    """Searches with seeds 0, 1, … that reach the levels at these shares of the budget."""
    return {seed: Found(1, [[1.0, 1.0]], [one, None], after, 0.0) for seed, one in enumerate(shares)}


OUTCOMES = {
    OURS: runs([0.2 + 0.001 * seed for seed in range(12)], after=0.5),
    "Optuna TPE": runs([0.8 - 0.001 * seed for seed in range(12)], after=0.4),
    "Optuna GP": runs([0.2 + 0.001 * seed for seed in range(12)], after=0.52),
    "NEHVI": runs([0.1 + 0.001 * seed for seed in range(12)], after=0.9),
    "random": runs([None] * 12, after=0.1),
}


def test_losses_come_first_and_each_line_has_its_verdict() -> None:
    title, *lines = by_compute("toy", OUTCOMES, 0).splitlines()
    assert title.startswith("toy: share of the budget to 80% of the region")
    assert [line.split()[0] for line in lines[:4]] == ["LOSS", "undecided", "win", "win"]
    assert [next(name for name in OUTCOMES if name in line) for line in lines[:4]] == [
        "NEHVI",
        "Optuna GP",
        "Optuna TPE",
        "random",
    ]
    assert "0.206 0.106   1.95 [" in lines[0]
    assert "12/12 of 12 reach it" in lines[0]
    assert "p worse 0.001, better 1.000" in lines[0]  # 4 tests × 1 / 2^12
    assert "0.206 more   ≤0.21 [" in lines[3]
    assert lines[4:] == [
        "  aim: ≤ 0.5 of the best of the 2 of 3 samplers of Optuna's that ran: 1.00",
        "  aim: ≤ 0.2 of random: 0.21",
    ]


def test_a_level_that_nobody_reaches_says_so() -> None:
    lines = by_compute("toy", OUTCOMES, 1).splitlines()
    assert all(" neither [0.00, ∞]" in line and line.split()[0] == "undecided" for line in lines[1:5])


def test_trials_are_compared_by_the_bound_of_the_difference() -> None:
    lines = by_trials("toy", OUTCOMES).splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["LOSS", "LOSS", "win", "win"]
    assert "-0.400, above -0.400 (> -0.05: NOT SHOWN; 12 seeds)" in lines[0]
    assert "-0.020, above -0.020 (> -0.05: shown; 12 seeds)" in lines[1]


def test_only_seeds_that_both_ran_are_compared() -> None:
    outcomes = {**OUTCOMES, "NEHVI": {3: OUTCOMES["NEHVI"][3], 99: OUTCOMES["NEHVI"][4]}, "PriMO": {}}
    text = by_compute("toy", outcomes, 0)
    assert "1/1 of 1 reach it" in next(line for line in text.splitlines() if "NEHVI" in line)
    assert "PriMO" not in text


def test_the_report_reads_results_of_its_table_alone(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for name in (OURS, "random"):
        for seed, found in OUTCOMES[name].items():
            results.add(Cell("toy", "0", name, "1", COMPUTE, seed), found)
            results.add(Cell("toy", "another", name, "1", COMPUTE, seed + 50), found)
    text = report(toy_table(), results, ["random"])
    assert text.count("12/0 of 12 reach it") == 1
    assert "CARBS" not in text
