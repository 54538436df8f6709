import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from analysis.export.recipes import render
from analysis.export.selection import finished_trial, first_pick, pick, picks
from analysis.run.trials import Run, read_run
from tests.support.run_directories import INFO, add, start, worked_example
from trainables.errors import InvalidInput
from trainables.storage import Folder


def test_max_robust_and_all(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert [trial.id for trial in pick(run, "max-robust")] == ["b"]
    assert [trial.id for trial in pick(run, "all")] == ["a", "b", "pgd"]


def test_the_knee_is_farthest_above_the_chord(tmp_path: Path) -> None:
    start(tmp_path)
    for number, (id, robust, flops) in enumerate([("low", 0.2, 1e7), ("bend", 0.6, 1e8), ("high", 0.7, 1e9)]):
        add(tmp_path, id, number=number, robust=robust, flops=flops)
    assert [trial.id for trial in pick(read_run(Folder(str(tmp_path))), "knee")] == ["bend"]


def test_without_a_bend_the_knee_is_the_cheapest(tmp_path: Path) -> None:
    assert [trial.id for trial in pick(worked_example(tmp_path), "knee")] == ["a"]


def _with_examples(root: Path) -> Run:
    start(root)
    add(root, "pgd", role="baseline", name="pgd_at_20", robust=0.5, flops=1e10, correct=[True, False] * 50)
    add(root, "cheap", number=1, robust=0.3, flops=1e8, correct=[True, False, False] * 33 + [True])
    add(root, "level", number=2, robust=0.5, flops=1e9, correct=[True, False] * 50)
    return read_run(Folder(str(root)))


def test_parity_picks_the_cheapest_at_parity(tmp_path: Path) -> None:
    assert [trial.id for trial in pick(_with_examples(tmp_path), "parity")] == ["level"]


def test_parity_says_how_close_it_came(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=1.0, flops=1e10, correct=[True] * 4)
    add(tmp_path, "a", robust=0.0, flops=1e8, correct=[False] * 4)
    with pytest.raises(InvalidInput, match=r"at parity with pgd_at_20 .*best lower bound reached is -1\.0000"):
        pick(read_run(Folder(str(tmp_path))), "parity")


def test_nothing_on_the_frontier_and_unknown_words_are_refused(tmp_path: Path) -> None:
    start(tmp_path)
    run = read_run(Folder(str(tmp_path)))
    with pytest.raises(InvalidInput, match=r"nothing to pick, no recipe has finished$"):
        pick(run, "knee")
    with pytest.raises(InvalidInput, match="expected one of knee"):
        pick(run, "best")
    with pytest.raises(InvalidInput, match="nothing to export"):
        render([], run, "yaml")
    with pytest.raises(InvalidInput, match="expected one of yaml"):
        render([], run, "xml")


def test_the_choice_that_is_offered_first_always_finds_something(tmp_path: Path) -> None:
    assert first_pick(worked_example(tmp_path / "whole")) == "knee"
    start(tmp_path / "few")
    assert first_pick(read_run(Folder(str(tmp_path / "few")))) is None
    add(tmp_path / "few", "pgd", role="baseline", name="pgd_at_20", robust=0.5, flops=1e10)
    run = read_run(Folder(str(tmp_path / "few")))
    assert first_pick(run) == "all"
    assert [trial.id for trial in pick(run, "all")] == ["pgd"]
    with pytest.raises(
        InvalidInput, match="nothing to pick, no finished proposal is on the frontier; a baseline's name"
    ):
        pick(run, "knee")


def test_one_record_is_a_mapping_and_several_are_a_list(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    one = yaml.safe_load(render(pick(run, "max-robust"), run, "yaml"))
    assert one["format"] == 1
    assert (one["id"], one["role"]) == ("b", "proposed")
    assert one["evaluation"] == INFO["evaluation"]
    assert one["environment"] == INFO["environment"]
    assert one["recipe"]["compression"]["pruning_ratio"] == 0.5
    assert one["metrics"]["robust_accuracy"] == 0.78
    several = render(pick(run, "all"), run, "yaml")
    assert "&id" not in several
    assert [item["id"] for item in yaml.safe_load(several)] == ["a", "b", "pgd"]
    assert json.loads(render(pick(run, "all"), run, "json")) == yaml.safe_load(several)


def test_csv_joins_keys_by_dots(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    rows = list(csv.DictReader(io.StringIO(render(pick(run, "all"), run, "csv"))))
    assert [row["id"] for row in rows] == ["a", "b", "pgd"]
    assert rows[0]["recipe.compression.pruning_ratio"] == "0.5"
    assert rows[2]["recipe.compression.pruning_ratio"] == ""
    assert float(rows[0]["metrics.robust_accuracy"]) == 0.6


def test_trials_are_picked_by_rule_by_name_and_by_id_each_once(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert [trial.id for trial in picks(run, ["max-robust", "a", "knee"])] == ["b", "a"]
    assert [trial.id for trial in picks(run, ["pgd_at_20", "all"])] == ["pgd", "a", "b"]
    assert finished_trial(run, "pg").id == "pgd"


def test_a_trial_that_nobody_or_several_are_called_is_refused(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    for wanted, words in (
        (
            "zzz",
            "no trial is called 'zzz', expected one such as knee, parity, max-robust, all, base, pgd_at_20",
        ),
        ("", "no trial is called ''"),
        ("d", "trial d has not finished"),
        ("c", "trial c has not finished"),
    ):
        with pytest.raises(InvalidInput, match=words):
            picks(run, [wanted])
    for number in (1, 2):
        add(tmp_path, f"same{number}", number=10 + number, robust=0.1)
    with pytest.raises(InvalidInput, match="'same' is the beginning of 2 trials, such as same1, same2"):
        finished_trial(read_run(Folder(str(tmp_path))), "same")
