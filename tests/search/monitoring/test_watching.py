"""What a watched search shows: counts, spending, what runs, a sketch of the frontier, and an end."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from analysis.run.extensions import Extension, write_extension
from analysis.run.trials import Run, read_run
from analysis.status.status import status_of
from search.monitoring.sketch import PLAIN, Marks, bar, marks_of, sketch
from search.monitoring.watching import HOME, frame, spending, watch
from search.study.algorithms import Budget
from search.study.loading import load
from tests.support.run_directories import BEGUN, add, drive, start, worked_example
from tests.support.terminals import FakeTerminal
from trainables.storage import Folder


def running(root: Path) -> Run:
    """The worked example, half an hour after its driver began; one proposal is in its second of six epochs."""
    worked_example(root)
    start(root, planned_recipes=12)
    drive(root, 1, began=0.0)
    add(root, "d", number=6, state=None, scores=[0.2, 0.31])
    return read_run(Folder(str(root)))


def test_a_sketch_puts_robust_recipes_up_and_dear_ones_right(tmp_path: Path) -> None:
    assert sketch(worked_example(tmp_path), 40, 5, PLAIN) == [
        " 0.800 |                o              B",
        "       |",
        "       |",
        "       |o",
        " 0.500 |         B",
        "       " + "-" * 33,
        "        4.0e+08            1.0e+10 FLOPs",
        "        o frontier  B baseline  . other",
    ]


def test_nothing_is_drawn_before_two_recipes_can_be_compared(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "base", role="base", robust=0.2, flops=0.0)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, number=1)
    assert sketch(read_run(Folder(str(tmp_path))), 40, 5, PLAIN) == []


def test_nothing_is_drawn_where_there_is_no_room(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert [len(sketch(run, width, 5, PLAIN)) for width in (1, 7, 8, 9)] == [0, 0, 0, 8]


def test_recipes_of_one_robustness_lie_in_the_middle(tmp_path: Path) -> None:
    start(tmp_path)
    for number in range(2):
        add(tmp_path, f"p{number}", robust=0.5, number=number, flops=1e9 * 10**number)
    assert [line.strip()[-1] for line in sketch(read_run(Folder(str(tmp_path))), 40, 3, PLAIN)[:3]] == ["|", ".", "|"]


def test_a_bar_is_full_as_far_as_it_goes() -> None:
    assert [bar(done, 4, PLAIN) for done in (0.0, 0.5, 1.0, 7.0)] == ["----", "##--", "####", "####"]


def test_a_picture_has_counts_what_runs_what_is_spent_and_why_others_ended(tmp_path: Path) -> None:
    run = running(tmp_path)
    now = BEGUN + timedelta(minutes=30)
    status = status_of(run, now)
    lines = frame(run, status, Budget(trials=9, flops=8e9), now, 80, PLAIN)
    assert lines[0] == "6 of 12 recipes ended (5 complete, 1 pruned), 1 run"
    assert lines[1] == "#" * 40 + "-" * 40
    assert lines[2] == "spent 4 of 9 proposals, 2.4e+09 of 8e+09 FLOPs; about 38 min left at this pace"
    assert lines[3].startswith("  d  ####--------   2/6   0.310  proposed: ")
    assert "1 × pruned: dominated at rung 2" in lines
    assert any(line.startswith("best score of a proposal 0.780") for line in lines)
    assert lines[-1].startswith("running on host; last written ")
    assert max(map(len, lines[:4])) <= 80


def test_the_time_left_of_a_resumed_search_goes_by_all_of_its_drivers(tmp_path: Path) -> None:
    run = running(tmp_path)
    drive(tmp_path, 2, began=20 * 3600.0, before=10.0)
    run = read_run(Folder(str(tmp_path)))
    now = BEGUN + timedelta(hours=20, minutes=1)
    (line,) = spending(run, status_of(run, now), Budget(trials=8), now)
    assert line == "spent 4 of 8 proposals; about 10.0 h left at this pace"


def test_hours_count_until_now(tmp_path: Path) -> None:
    run = running(tmp_path)
    now = BEGUN + timedelta(minutes=30)
    (line,) = spending(run, status_of(run, now), Budget(trials=100, hours=1.0), now)
    assert line == "spent 4 of 100 proposals, 0.5 of 1 hour; about 30 min left at this pace"


def test_a_clock_that_is_behind_the_drivers_tells_no_time(tmp_path: Path) -> None:
    run = running(tmp_path)
    now = BEGUN - timedelta(minutes=30)
    (line,) = spending(run, status_of(run, now), Budget(trials=100, hours=1.0), now)
    assert line == "spent 4 of 100 proposals, 0 of 1 hour"


def test_marks_are_those_that_an_output_can_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert marks_of("utf-8") == Marks()
    assert marks_of("ascii") == marks_of("cp1252") == marks_of(None) == PLAIN
    monkeypatch.setenv("TERM", "dumb")
    assert marks_of("utf-8") == PLAIN


def test_elsewhere_than_on_a_terminal_a_line_is_printed_for_each_ending_until_the_last(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    running(tmp_path)
    Folder(str(tmp_path)).write_json("study.yaml", load("digits", ["reference=pgd_at_20"]).model_dump(mode="json"))
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 2:
            add(tmp_path, "d", number=6, robust=0.4)
        if len(looks) == 3:
            drive(tmp_path, 1, began=0.0, ended=60.0)

    drive(tmp_path, 1, began=1e9)  # in the future, since a driver that has written nothing for long is taken for dead
    watch(Folder(str(tmp_path)), sleep=sleep)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "6 of 12 recipes ended (5 complete, 1 pruned), 1 run",
        "7 of 12 recipes ended (6 complete, 1 pruned), 0 run",
    ]
    assert lines[-1].startswith("finished ")
    assert "\x1b" not in "".join(lines)
    assert len(looks) == 3
    assert min(looks) >= 2.0


def test_what_is_added_to_the_budget_meanwhile_counts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running(tmp_path)
    settings = ["reference=pgd_at_20", "budget.trials=3"]
    Folder(str(tmp_path)).write_json("study.yaml", load("digits", settings).model_dump(mode="json"))
    drive(tmp_path, 1, began=1e9)  # as above
    looks = []

    def sleep(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 1:
            write_extension(Folder(str(tmp_path)), Extension(trials=7, planned=15))
        else:
            drive(tmp_path, 1, began=0.0, ended=60.0)

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    watch(Folder(str(tmp_path)), sleep=sleep)
    told = re.findall(r"of (\d+) proposals", capsys.readouterr().out)
    assert told == ["3", "10", "10"]


def test_on_a_terminal_the_picture_is_drawn_anew_in_the_size_that_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running(tmp_path)
    Folder(str(tmp_path)).write_json("study.yaml", load("digits", ["reference=pgd_at_20"]).model_dump(mode="json"))
    drive(tmp_path, 1, began=1e9)  # as above
    stream = FakeTerminal()
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setenv("TERM", "xterm")
    sizes = {"COLUMNS": "60", "LINES": "8"}

    def sleep(seconds: float) -> None:
        for name, value in sizes.items():
            monkeypatch.setenv(name, value)
        drive(tmp_path, 1, began=0.0, ended=60.0)

    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "40")
    watch(Folder(str(tmp_path)), sleep=sleep)
    wide, narrow = (picture.splitlines() for picture in stream.getvalue().split(HOME)[1:])
    assert wide[0] == narrow[0] == "6 of 12 recipes ended (5 complete, 1 pruned), 1 run"
    assert wide[1] == "█" * 45 + "░" * 45
    assert narrow[1] == "█" * 30 + "░" * 30
    assert any(line.startswith("  d  ████░░░░░░░░   2/6   0.310  proposed: ") for line in wide)
    assert any("● frontier  ◆ baseline  · other" in line for line in wide)
    assert len(narrow) == 7  # the last line of the screen is left, else it would scroll
    assert max(map(len, narrow)) <= 60
