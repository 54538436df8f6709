"""The file of results, and what a run of the command leaves in it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.peers import __main__ as command
from tests.benchmarks.peers.accounting import Step
from tests.benchmarks.peers.results import COMPUTE, COUNTED, Cell, Found, Results, found_by
from tests.benchmarks.peers.tables.toy import toy_table

CELL = Cell("toy", "0", "random", "1", COMPUTE, 3)
FOUND = Found([4, 5], [0.25, 0.5], [0.0, 0.9], [0.5, None], 0.9, 1.25)


def test_a_result_is_read_as_it_was_added(tmp_path: Path) -> None:
    Results(tmp_path / "new" / "results.jsonl").add(CELL, FOUND)
    again = Results(tmp_path / "new" / "results.jsonl")
    assert CELL in again
    assert replace(CELL, seed=4) not in again
    assert again.seeds("toy", "0", "random", COMPUTE) == {3: FOUND}
    assert again.seeds("toy", "1", "random", COMPUTE) == again.seeds("toy", "0", "random", COUNTED) == {}


def test_a_line_that_was_cut_short_is_left_out_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    results = Results(path)
    results.add(CELL, FOUND)
    results.add(replace(CELL, seed=4), FOUND)
    path.write_bytes(path.read_bytes()[:-9])
    again = Results(path)
    assert replace(CELL, seed=4) not in again
    again.add(replace(CELL, seed=5), FOUND)
    assert set(Results(path).seeds("toy", "0", "random", COMPUTE)) == {3, 5}


def test_of_several_versions_the_one_added_last_counts(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.jsonl")
    for version, seed in (("1", 0), ("1", 1), ("2", 0)):
        results.add(replace(CELL, version=version, seed=seed), replace(FOUND, seconds=float(version)))
    assert {seed: found.seconds for seed, found in results.seeds("toy", "0", "random", COMPUTE).items()} == {0: 2.0}


def test_what_a_search_found_is_summed_up() -> None:
    table = toy_table()
    steps = [Step(0, 1.0, table.budget / 2, True), *(Step(number, 1.0, 0.0, True) for number in range(1, 40))]
    found = found_by(table, [*steps[:-1], replace(steps[-1], spent=table.budget)], 0.5)
    assert found.spent[0] == 0.5
    assert found.region[-1] == pytest.approx(1)
    assert found.reached == [0.5, 0.5]
    assert found.after_trials == found.region[19]
    never = found_by(table, steps[:1], 0.5)
    assert never.reached == [None, None]


def test_a_run_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "table_named", lambda source: toy_table())
    path = tmp_path / "results.jsonl"
    command.run(["toy"], ["random"], 1, Results(path))
    assert len(path.read_text().splitlines()) == 2  # a budget of trials and one of cost
    capsys.readouterr()
    command.run(["toy"], ["random"], 2, Results(path))
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == [f"toy, random, {one}, seed 1" for one in (COUNTED, COMPUTE)]
    found = Results(path).seeds("toy", "0", "random", COMPUTE)
    assert set(found) == {0, 1}
    assert found[0].spent[-1] >= 1 > found[0].spent[-2]
    counted = Results(path).seeds("toy", "0", "random", COUNTED)
    assert [len(one.entries) for one in counted.values()] == [20, 20]
    assert not math.isnan(found[0].after_trials)
