"""How well rungs foretell the result: closed forms, a run worked out by hand, and what a judge saw."""

import math
import random
from pathlib import Path
from typing import Any

import pytest

from analysis.report.report import write_report
from analysis.run.trials import Run, read_run
from analysis.tables.rungs import Ladder, rank_correlation, rung_lines, rung_table
from search.halving.judge import Judge
from search.study.algorithms import Halving
from tests.support.run_directories import add, start
from trainables.storage import Folder

HALVING = {"ladders": [[0.25, 0.5]], "reduction_factor": 2.0, "shortest": 4, "trusted": 0.7, "trusted_after": 4}
STOP = "stopped at 25% of its schedule: not among the first 50% of 3 there"


def _share(score: float) -> float:
    """A score between 0 and 1, in the same order."""
    return 1 / (1 + math.exp(-score))


def read(root: Path) -> Run:
    return read_run(Folder(str(root)))


def worked_run(root: Path, **changes: Any) -> Run:
    """Rungs after 2 and 4 of 8 epochs. Seven proposals: four finish, one is stopped, one fails, one is too short."""
    start(root, halving=HALVING | changes)
    add(root, "pgd", role="baseline", name="pgd_at_20", robust=0.8, epochs=8, scores=[0.1] * 8)
    early = {"a": (0.1, 0.5), "b": (0.2, 0.6), "c": (0.3, 0.7), "d": (0.4, 0.4)}  # by rung; ranks 1 2 3 4 and 2 3 4 1
    final = {"a": 0.61, "b": 0.60, "c": 0.63, "d": 0.62}  # ranks 2 1 4 3
    for number, (name, (first, second)) in enumerate(early.items(), 1):
        scores = [0.9, first, 0.9, second, 0.9, 0.9, 0.9, 0.9]
        add(root, name, number=number, robust=final[name], epochs=8, scores=scores)
    add(root, "e", number=5, state="pruned", reason=STOP, epochs=8, scores=[0.9, 0.05])
    reason = "catastrophic overfitting in epoch 2: …"
    add(root, "f", number=6, state="pruned", reason=reason, epochs=8, scores=[0.9, 0.01])
    add(root, "g", number=7, robust=0.9, epochs=3, scores=[0.1, 0.1, 0.1])
    add(root, "h", number=8, state=None, epochs=8, scores=[0.9, 0.5, None])
    return read(root)


def test_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([0.1, 0.2, 0.9], [5.0, 6.0, 7.0]) == pytest.approx(1)
    assert rank_correlation([0.1, 0.2, 0.9], [7.0, 6.0, 5.0]) == pytest.approx(-1)
    assert rank_correlation([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(1 - 6 * 4 / (5 * 24))
    assert math.isnan(rank_correlation([1.0, 1.0], [1.0, 2.0]))


def test_an_epoch_belongs_to_the_highest_rung_reached_once() -> None:
    ladder = Ladder((0.25, 0.5), shortest=4, trusted=0.6, trusted_after=2)

    def arrive(recipe: str, epochs: int, epoch: int, score: float | None = 0.5) -> int | None:
        return ladder.arrive(recipe, epochs, {"epoch": epoch, "robust_accuracy": score})

    assert [arrive("a", 8, epoch) for epoch in range(1, 9)] == [None, 0, None, 1, None, None, None, None]
    assert arrive("b", 8, 5) == 1  # and never at the first
    assert arrive("c", 8, 2, None) is None
    assert arrive("c", 8, 3) == 0
    assert [arrive("d", 3, epoch) for epoch in (1, 2, 3)] == [None] * 3
    assert [sorted(scores) for scores in ladder.scores] == [["a", "c"], ["a", "b"]]


def test_the_table_of_a_run_worked_out_by_hand(tmp_path: Path) -> None:
    table = rung_table(worked_run(tmp_path))
    counts = table[["bracket", "share", "reached", "stopped", "finished"]]
    assert counts.to_numpy().tolist() == [[1, 0.25, 6, 1, 4], [1, 0.5, 4, 0, 4]]  # a–e and h; a–d
    first, second = table.to_dict("records")
    assert first["correlation"] == pytest.approx(1 - 6 * (1 + 1 + 1 + 1) / (4 * 15))  # 0.6
    assert second["correlation"] == pytest.approx(1 - 6 * (0 + 4 + 0 + 4) / (4 * 15))  # 0.2
    assert table["trusted"].tolist() == [False, False]


@pytest.mark.parametrize(
    ("changes", "trusted"), [({"trusted_after": 5}, [True, True]), ({"trusted": 0.5}, [True, False])]
)
def test_a_rung_is_trusted_until_enough_have_finished_and_then_by_its_correlation(
    tmp_path: Path, changes: dict[str, Any], trusted: list[bool]
) -> None:
    assert rung_table(worked_run(tmp_path, **changes))["trusted"].tolist() == trusted


def test_proposals_are_dealt_to_brackets_by_number(tmp_path: Path) -> None:
    table = rung_table(worked_run(tmp_path, ladders=[[0.25, 0.5], [0.5]]))
    assert table[["bracket", "share", "reached"]].to_numpy().tolist() == [[1, 0.25, 3], [1, 0.5, 2], [2, 0.5, 2]]
    assert math.isnan(rung_table(worked_run(tmp_path / "few", ladders=[[0.6], [0.9]]))["correlation"].iloc[1])


def test_the_report_shows_rungs_where_there_was_halving(tmp_path: Path) -> None:
    run = worked_run(tmp_path)
    write_report(run)
    page = (tmp_path / "report.html").read_text()
    assert "<h2>Rungs</h2>" in page
    assert "<tr><td>25%</td><td>6</td><td>1</td><td>4</td>\n<td>0.60</td><td>no</td></tr>" in page
    lines = (tmp_path / "rungs.csv").read_text().splitlines()
    assert lines[0] == "bracket,share,reached,stopped,finished,correlation,trusted"
    assert len(lines) == 3
    assert rung_lines(run)[0] == (
        "Rung 25%: 6 reached it, 1 were stopped there; rank correlation with the result 0.60, of 4 that finished: "
        "not trusted, it stops nobody"
    )


@pytest.mark.parametrize("info", [{}, {"halving": None}])
def test_runs_without_halving_or_of_before_it_was_written_have_no_rungs(tmp_path: Path, info: dict[str, Any]) -> None:
    start(tmp_path, **info)
    add(tmp_path, "a", robust=0.5, scores=[0.1] * 6)
    run = read(tmp_path)
    assert rung_table(run).empty
    assert rung_lines(run) == []
    write_report(run)
    assert "<h2>Rungs</h2>" not in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "rungs.csv").exists()


@pytest.mark.parametrize("brackets", [1, 2])
def test_the_figures_of_the_record_are_those_of_the_judge_that_saw_the_reports(tmp_path: Path, brackets: int) -> None:
    settings = Halving(reduction_factor=2, grace=0.2, brackets=brackets, trusted_after=5)
    judge, generator = Judge(settings, ["robust_accuracy"]), random.Random(brackets)
    start(tmp_path, halving=settings.model_dump() | {"ladders": settings.ladders})
    stops = {(bracket, share): 0 for bracket, ladder in enumerate(settings.ladders) for share in ladder}
    for number in range(60):
        epochs, worth = generator.randint(3, 10), generator.random()
        name, scores = f"r{number}", [_share(worth + generator.gauss(0, 0.3)) for _ in range(epochs)]
        reason = None
        for epoch in range(1, epochs):
            reason = judge.report(name, number, epochs, {"epoch": epoch, "robust_accuracy": scores[epoch - 1]})
            if reason is not None:
                shares = settings.ladders[number % brackets]
                stops[number % brackets, max(share for share in shares if epoch / epochs >= share)] += 1
                why = reason.detail
                add(tmp_path, name, number=number, state="pruned", reason=why, epochs=epochs, scores=scores[:epoch])
                break
        if reason is None:
            judge.final[name] = scores[-1]
            judge._trusted.clear()
            add(tmp_path, name, number=number, robust=scores[-1], epochs=epochs, scores=scores)
    run = read(tmp_path)
    rungs = [
        (number, ladder, index) for number, ladder in enumerate(judge.ladders) for index in range(len(ladder.shares))
    ]
    table = rung_table(run)
    for row, (bracket, ladder, index) in zip(table.to_dict("records"), rungs, strict=True):
        assert (row["bracket"], row["share"]) == (bracket + 1, ladder.shares[index])
        assert row["reached"] == len(ladder.scores[index])
        assert row["stopped"] == stops[bracket, ladder.shares[index]]
        count, correlation = ladder.correlation(index, judge.final)
        assert (row["finished"], row["correlation"]) == (count, pytest.approx(correlation, nan_ok=True))
        assert row["trusted"] == ladder.is_trusted(index, judge.final)
    assert table["stopped"].sum() > 0
    assert len(set(table["trusted"])) == 2
