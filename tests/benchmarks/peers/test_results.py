"""The file of results, and what a run of the command leaves in it."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from tests.benchmarks.peers import __main__ as command
from tests.benchmarks.peers.accounting import Step, grown
from tests.benchmarks.peers.results import COMPUTE, COUNTED, Cell, Found, Results, found_by
from tests.benchmarks.peers.tables.toy import toy_table

CELL = Cell("toy", "0", "random", "1", COMPUTE, 3)
FOUND = Found(2, [[0.5, 0.9]], [0.5, None], 0.9, 1.25)


def test_a_result_is_read_as_it_was_added(tmp_path: Path) -> None:
    Results(tmp_path / "new").add(CELL, FOUND)
    again = Results(tmp_path / "new")
    assert CELL in again
    assert replace(CELL, seed=4) not in again
    assert again.seeds("toy", "0", "random", COMPUTE) == {3: FOUND}
    assert again.seeds("toy", "1", "random", COMPUTE) == again.seeds("toy", "0", "random", COUNTED) == {}


def test_a_line_that_was_cut_short_is_left_out_and_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "toy.jsonl"
    results = Results(tmp_path)
    results.add(CELL, FOUND)
    results.add(replace(CELL, seed=4), FOUND)
    path.write_bytes(path.read_bytes()[:-9])
    again = Results(tmp_path)
    assert replace(CELL, seed=4) not in again
    again.add(replace(CELL, seed=5), FOUND)
    assert set(Results(tmp_path).seeds("toy", "0", "random", COMPUTE)) == {3, 5}


def test_of_several_versions_the_one_added_last_counts(tmp_path: Path) -> None:
    results = Results(tmp_path)
    for version, seed in (("1", 0), ("1", 1), ("2", 0)):
        results.add(replace(CELL, version=version, seed=seed), replace(FOUND, seconds=float(version)))
    assert {seed: found.seconds for seed, found in results.seeds("toy", "0", "random", COMPUTE).items()} == {0: 2.0}


def test_what_a_search_found_is_summed_up() -> None:
    table = toy_table()
    steps = [Step(0, 1.0, table.budget / 2, True), *(Step(number, 1.0, 0.0, True) for number in range(1, 40))]
    found = found_by(table, [*steps[:-1], replace(steps[-1], spent=table.budget)], 0.5)
    assert found.steps == 40
    assert found.growth[0][0] == 0.5
    assert found.growth[-1] == [1.5, pytest.approx(1)]
    assert [share for _, share in found.growth] == sorted(share for _, share in found.growth)
    assert found.reached == [0.5, 0.5]
    assert found.after_trials == pytest.approx(grown(table, steps)[1][19])
    never = found_by(table, steps[:1], 0.5)
    assert never.reached == [None, None]
    assert found_by(table, [], 0.5).growth == []


def test_growth_is_kept_where_more_was_found_and_at_the_end() -> None:
    table = toy_table()
    steps = [Step(number, 1.0, table.budget / 40, True) for number in (39, 39, 39, 20, 20)]
    growth = found_by(table, steps, 0.5).growth
    spent, region = grown(table, steps)
    more = [row for row in range(5) if region[row] > (region[row - 1] if row else 0)]
    assert [one[0] for one in growth] == [pytest.approx(spent[row], abs=1e-4) for row in sorted({*more, 4})]


def test_a_run_goes_on_where_it_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "table_named", lambda source: toy_table())
    command.run(["toy"], ["random"], 1, Results(tmp_path))
    assert len((tmp_path / "toy.jsonl").read_text().splitlines()) == 2  # a budget of trials and one of cost
    capsys.readouterr()
    command.run(["toy"], ["random"], 2, Results(tmp_path))
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == [f"toy, random, {one}, seed 1" for one in (COUNTED, COMPUTE)]
    found = Results(tmp_path).seeds("toy", "0", "random", COMPUTE)
    assert set(found) == {0, 1}
    assert found[0].growth[-1][0] >= 1
    counted = Results(tmp_path).seeds("toy", "0", "random", COUNTED)
    assert [one.steps for one in counted.values()] == [20, 20]
    assert not math.isnan(found[0].after_trials)
