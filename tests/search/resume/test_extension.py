"""Extensions of a budget: how they are written, what is left by them, and what is refused."""

from pathlib import Path

import pytest

from analysis.run.extensions import Extension, Spent, read_extensions, write_extension
from analysis.run.trials import read_run
from analysis.status.status import status_of
from search.resume.extension import check_extension, extended, read_amounts, spent_of
from search.study.loading import load
from tests.support.run_directories import add, start
from trainables.errors import InvalidInput
from trainables.storage import Folder

STUDY = load("digits", ["budget={trials: 4, flops: 1e12}"])


@pytest.mark.parametrize(
    ("written", "trials", "hours", "flops"),
    [
        (["trials=+20"], 20, 0.0, 0.0),
        (["hours=+1.5", "flops=+2e12"], 0, 1.5, 2e12),
        (["flops=+1e+12", "trials=+1"], 1, 0.0, 1e12),
        (["flops=+8E11", "trials=+1e1"], 10, 0.0, 8e11),
        (["hours=+.5"], 0, 0.5, 0.0),
    ],
)
def test_amounts_are_read(written: list[str], trials: int, hours: float, flops: float) -> None:
    assert read_amounts(written) == Extension(trials, hours, flops)


@pytest.mark.parametrize(
    "written",
    [
        *("trials=20", "trials=-3", "trials=+1.5", "trials=+0", "trials=+.", "trials", "epochs=+3", ""),
        *("hours=+1.2.3", "hours=+5h", "flops=+inf", "flops=+1e400"),
    ],
)
def test_what_adds_nothing_is_refused(written: str) -> None:
    with pytest.raises(InvalidInput, match="--budget: got"):
        read_amounts([written])


def test_nothing_is_added_without_the_option_and_nothing_twice() -> None:
    assert read_amounts([]) is None
    with pytest.raises(InvalidInput, match="got trials twice"):
        read_amounts(["trials=+1", "trials=+2"])


def test_they_are_files_in_an_order_and_add_up(tmp_path: Path) -> None:
    start(tmp_path, planned_recipes=9)
    run = Folder(str(tmp_path))
    assert read_extensions(run) == ()
    several = [Extension(trials=number, spent=Spent(trials=10 * number, flops=2.5)) for number in range(1, 12)]
    for one in several:
        write_extension(run, one)
    assert read_extensions(run) == tuple(several)  # the tenth after the ninth
    budget = extended(STUDY, several).budget
    assert (budget.trials, budget.hours, budget.flops) == (4 + 66, None, 1e12)
    assert status_of(read_run(run)).planned == 9 + 66
    limited = extended(
        load("digits", ["budget={trials: 4, hours: 2, flops: 1e12}"]), [Extension(1, 0.5, 2e12), several[0]]
    )
    assert (limited.budget.trials, limited.budget.hours, limited.budget.flops) == (6, 2.5, 3e12)
    write_extension(run, Extension(trials=100, planned=80))  # the space holds no more
    assert status_of(read_run(run)).planned == 80


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"trials": 3}', b'{"trials": 3, "else": 1, "spent": {}}'])
def test_a_torn_extension_is_named(tmp_path: Path, content: bytes) -> None:
    run = Folder(str(tmp_path))
    run.child("extensions").write("1.json", content)
    run.child("extensions").write("notes.json", b"of the user's own")
    with pytest.raises(InvalidInput, match=r"extensions/1.json: cannot be read"):
        read_extensions(run)


def test_what_was_spent_is_read_from_the_record(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "base", role="base", robust=0.1)
    add(tmp_path, "a", robust=0.5, flops=3e9, number=1)
    add(tmp_path, "b", state="fail", number=2)
    add(tmp_path, "c", state=None, number=3)
    rows = [{"epoch": epoch, "train_flops": epoch * 1e9, "flops_ancestors": 5e8} for epoch in (1, 2)]
    Folder(str(tmp_path)).child("trials", "c", "checkpoint", "2").write_json("state.json", {"history": rows})
    spent = spent_of(read_run(Folder(str(tmp_path))))
    assert (spent.trials, spent.finished, spent.flops) == (3, 1, 3e9 + 1.5e9)


def test_an_extension_must_leave_something_to_spend() -> None:
    spent = Spent(trials=4, finished=4, flops=2e11)
    check_extension(STUDY, [Extension(trials=2, spent=spent)], spent)
    with pytest.raises(InvalidInput, match=r"^budget: trials are spent as well, 4 of 4; add trials, too$"):
        check_extension(STUDY, [Extension(flops=1e12, spent=spent)], spent)
    with pytest.raises(InvalidInput, match=r"^budget: hours are added, which the study does not limit"):
        check_extension(STUDY, [Extension(trials=2, hours=1.0, spent=spent)], spent)
    with pytest.raises(InvalidInput, match=r"^budget: flops are spent as well, 2e\+12 of 1e\+12; add flops, too$"):
        check_extension(STUDY, [Extension(trials=2, spent=spent)], Spent(trials=4, flops=2e12))
    without = STUDY.model_copy(update={"space": None})
    with pytest.raises(InvalidInput, match=r"^budget: the study has no space, so nothing can be proposed"):
        check_extension(without, [Extension(trials=2, spent=spent)], spent)
