"""Runs held against each other: one reference point for all, closed forms, and what cannot be compared."""

import json
from math import log10
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.comparison import page, words
from analysis.comparison.differences import differences
from analysis.comparison.sides import _names, compare
from analysis.run.trials import Run, read_run
from tests.support.run_directories import INFO, add, start, worked_example
from trainables.errors import InvalidInput
from trainables.storage import Folder

DATA = {"environment": {"threads": 1, "device": "cpu", "data": "the same"}}


def first(place: Path) -> Run:
    """The worked example: proposals a (0.6 for 4e8 FLOPs), b (0.78 for 2e9), and c, which was stopped."""
    worked_example(place)
    start(place, **DATA)
    return read_run(Folder(str(place)))


def second(place: Path, **info: Any) -> Run:
    """A weaker reference; one proposal that dominates b, and one that cost 3e8 before it was stopped."""
    start(place, **DATA | info)
    add(place, "base", role="base", number=0, robust=0.3, flops=0.0, end_to_end=1e8)
    add(place, "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.7, flops=2e10)
    add(place, "x", number=2, order=3, robust=0.79, flops=1.5e9)
    add(place, "y", number=3, order=2, state="pruned", reason="dominated at rung 1", scores=(0.1,))
    history = {"history": [{"epoch": 1, "robust_accuracy": 0.1, "train_flops": 3e8}]}
    Folder(str(place)).child("trials", "y", "checkpoint", "1").write_json("state.json", history)
    return read_run(Folder(str(place)))


def test_all_are_held_by_the_reference_point_of_the_first(tmp_path: Path) -> None:
    """Region of the first run: above its base's 0.2, below 1.1 times its reference's 1e10 FLOPs."""
    found = compare([first(tmp_path / "one"), second(tmp_path / "two")])
    assert found.yardstick == "one"
    assert found.point == pytest.approx([0.2, log10(1.1e10)])
    one, two = found.sides
    a = (0.6 - 0.2) * (log10(1.1e10) - log10(4e8))
    b = a + (0.78 - 0.6) * (log10(1.1e10) - log10(2e9))
    assert one.growth.flops.tolist() == [4e8, 2.4e9, 2.4e9]
    assert one.growth.hypervolume == pytest.approx([a, b, b])
    assert two.growth.flops.tolist() == [3e8, 1.8e9]
    assert two.growth.hypervolume == pytest.approx([0.0, (0.79 - 0.2) * (log10(1.1e10) - log10(1.5e9))])
    assert found.spent == 1.8e9
    assert [one.growth.at(flops) for flops in (3.9e8, 4e8, 1.8e9)] == pytest.approx([0.0, a, a])
    other = compare([second(tmp_path / "two"), first(tmp_path / "one")])
    assert other.point == pytest.approx([0.3, log10(2.2e10)])


def test_equal_runs_of_three_objectives_are_on_the_joint_frontier_together(tmp_path: Path) -> None:
    """Trial d is dominated in robustness and compute, and has the highest clean accuracy."""
    runs = []
    for name in ("one", "two"):
        first(tmp_path / name)
        add(tmp_path / name, "d", number=9, order=9, robust=0.5, flops=3e9, metrics={"clean_accuracy": 0.99})
        objectives = [*INFO["objectives"], {"metric": "clean_accuracy", "direction": "max"}]
        start(tmp_path / name, **DATA, objectives=objectives)
        runs.append(read_run(Folder(str(tmp_path / name))))
    for side in compare(runs).sides:
        assert "d" in side.joint
        assert side.joint == {trial.id for trial in side.frontier}
    start(tmp_path / "two", **DATA)  # with other objectives they are compared in the plane
    sides = compare([read_run(Folder(str(tmp_path / name))) for name in ("one", "two")]).sides
    assert "d" not in sides[0].joint


def test_what_no_recipe_of_any_run_dominates_is_on_the_joint_frontier(tmp_path: Path) -> None:
    """x dominates b and the second reference; the first reference is the most robust of all."""
    one, two = compare([first(tmp_path / "one"), second(tmp_path / "two")]).sides
    assert [trial.id for trial in one.frontier] == ["a", "b", "pgd"]
    assert one.joint == {"a", "pgd"}
    assert [trial.id for trial in two.frontier] == ["x"]
    assert two.joint == {"x"}
    assert (one.inside, two.inside) == (2, 1)


def test_the_most_robust_at_shares_of_one_references_compute(tmp_path: Path) -> None:
    one, two = compare([first(tmp_path / "one"), second(tmp_path / "two")]).sides
    assert {share: trial and trial.id for share, trial in one.best.items()} == {
        0.01: None, 0.02: None, 0.05: "a", 0.1: "a", 0.25: "b", 1.0: "b",
    }  # fmt: skip
    assert {share: trial and trial.id for share, trial in two.best.items()} == {
        0.01: None, 0.02: None, 0.05: None, 0.1: None, 0.25: "x", 1.0: "x",
    }  # fmt: skip


def test_a_run_without_a_finished_reference_is_held_by_anothers(tmp_path: Path) -> None:
    start(tmp_path / "begun", **DATA)
    begun, whole = read_run(Folder(str(tmp_path / "begun"))), first(tmp_path / "one")
    found = compare([begun, whole])
    assert found.yardstick == "one"
    assert (len(found.sides[0].growth.flops), found.sides[0].inside, found.spent) == (0, 0, 0.0)
    assert "–" in "\n".join(words.lines(found))
    start(tmp_path / "too", **DATA)
    with pytest.raises(InvalidInput, match="no run has finished its base and reference"):
        compare([begun, read_run(Folder(str(tmp_path / "too")))])


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (
            {"threat_model": {"norm": "l2", "epsilon": 0.2}},
            "robust accuracy is against L2 ε 0.2, expected L∞ ε 0.2 as in",
        ),
        ({"evaluation": {"steps": 50}}, "scores are by PGD-50, all images, expected PGD-10, all images as in"),
        (
            {"objectives": [INFO["objectives"][0], {"metric": "end_to_end_flops", "direction": "min"}]},
            "compute is end-to-end, expected marginal as in",
        ),
    ],
)
def test_other_meanings_of_the_numbers_are_refused(tmp_path: Path, info: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        compare([first(tmp_path / "one"), second(tmp_path / "two", **info)])
    assert str(refused.value) == f"{tmp_path}/two: {words} {tmp_path}/one"


def test_other_images_are_refused_but_more_training_images_are_not(tmp_path: Path) -> None:
    """The fingerprint covers the training images; the same set with as many held out is scored on the same ones."""
    one, two = first(tmp_path / "one"), second(tmp_path / "two", environment={"data": "another"})
    assert compare([one, two]).sides
    for trial in two.trials:
        trial.recipe["data"]["train_size"] = 50
    assert compare([one, two]).sides
    for trial in two.trials:
        trial.recipe["data"]["validation_size"] = 50
    with pytest.raises(InvalidInput, match=r"other images \(digits, 50 held out with seed 0, not digits, 100 held out"):
        compare([one, two])
    for run in (one, two):
        for trial in run.trials:
            trial.recipe["data"] = {"name": "mine:load", "validation_size": 100}
    with pytest.raises(InvalidInput, match="was scored on other images than"):
        compare([one, two])


def test_one_run_and_the_same_twice_are_refused(tmp_path: Path) -> None:
    run = first(tmp_path / "one")
    for runs, problem in (([run], "got 1 run, expected at least 2"), ([run, run], "twice, expected different runs")):
        with pytest.raises(InvalidInput, match=problem):
            compare(runs)


def test_one_run_is_the_same_however_its_path_is_written(tmp_path: Path) -> None:
    first(tmp_path / "one")
    (tmp_path / "link").symlink_to(tmp_path / "one")
    for other in (tmp_path / "one" / ".." / "one", tmp_path / "link"):
        with pytest.raises(InvalidInput, match="twice, expected different runs"):
            compare([read_run(Folder(str(place))) for place in (tmp_path / "one", other)])


def test_a_reference_that_learnt_nothing_is_said_to_be_no_yardstick(tmp_path: Path) -> None:
    one, two = first(tmp_path / "one"), second(tmp_path / "two")
    assert not any("no yardstick" in line for line in words.lines(compare([one, two])))
    guessing = {"chance_accuracy": 0.78, "chance_accuracy_stderr": 0.02}
    add(tmp_path / "one", "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.8, flops=1e10, metrics=guessing)
    lines = words.lines(compare([read_run(one.folder), two]))
    assert any(line.startswith("That reference is no yardstick: its robust accuracy of 0.800 is not") for line in lines)


def test_runs_without_a_proposal_have_no_hypervolume(tmp_path: Path) -> None:
    for name in ("one", "two"):
        start(tmp_path / name, **DATA)
        add(tmp_path / name, "base", role="base", number=0, robust=0.3, flops=0.0, end_to_end=1e8)
        add(tmp_path / name, "pgd", role="baseline", name="pgd_at_20", number=1, robust=0.7, flops=2e10)
    text = "\n".join(words.lines(compare([read_run(Folder(str(tmp_path / name))) for name in ("one", "two")])))
    assert "after 0 FLOPs" not in text
    assert "0.0000" not in text


def test_what_differs_is_told_by_the_keys_of_the_studies(tmp_path: Path) -> None:
    one, two = first(tmp_path / "one"), second(tmp_path / "two")
    shared = "name: {0}\nseed: {1}\nbaselines: [{{name: x, schedule: {{epochs: {2}}}}}]\n"
    one.folder.write("study.yaml", (shared.format("a", 0, 5) + "space: {s: [1, 2]}\n").encode())
    two.folder.write("study.yaml", (shared.format("b", 1, 9) + "budget: {trials: 4}\n").encode())
    assert {found.key: found.values for found in differences([one, two])} == {
        "seed": ("0", "1"),
        "baselines.x.schedule.epochs": ("5", "9"),
        "space.s": ("[1, 2]", "–"),
        "budget.trials": ("–", "4"),
    }


def test_it_is_told_in_lines_as_data_and_as_a_page(tmp_path: Path) -> None:
    found = compare([first(tmp_path / "<b>one"), second(tmp_path / "two")])
    text = words.lines(found)
    assert text[0] == "2 runs, L∞ ε 0.2 under PGD-10; compute is marginal."
    assert text[1].startswith("Held by <b>one: its reference has 0.800 for 1e+10 FLOPs; the region lies above 0.200")
    assert any(line.split() == ["on", "the", "joint", "frontier", "2", "of", "3", "1", "of", "1"] for line in text)
    data = json.loads(json.dumps(words.as_json(found)))
    assert data["runs"][1]["best"]["0.25"] == {
        "id": "x", "role": "proposed", "robust_accuracy": 0.79, "estimated_robust_accuracy": None, "flops": 1.5e9,
    }  # fmt: skip
    assert [one["joint"] for one in data["runs"][0]["frontier"]] == [True, False, True]
    assert data["reference_point"]["compute"] == pytest.approx(1.1e10)
    html = page.page(found)
    assert "<b>one" not in html
    assert "&lt;b&gt;one" in html
    figure = page.frontiers(found)
    lines, marks = figure.data[::2], figure.data[1::2]
    assert np.array(marks[1].x).tolist() == np.array(lines[1].x).tolist() == [1.5e9]
    assert [symbol.endswith("-open") for symbol in marks[0].marker.symbol] == [False, True, False]
    assert "estimates" not in html
    assert page.growths(found).data[1].y[-1] == found.sides[1].growth.hypervolume[-1]


def test_marks_lie_where_recipes_were_measured_and_lines_where_they_are_estimated(tmp_path: Path) -> None:
    sides = [first(tmp_path / "one"), second(tmp_path / "two")]
    proposed = [one.id for one in sides[1].trials if one.role == "proposed"]
    estimates = {"robust_accuracy": 0.75, "robust_accuracy_stderr": 0.01}
    found = compare([sides[0], sides[1].estimated(dict.fromkeys(proposed, estimates))])
    line, marks = page.frontiers(found).data[2:4]
    assert (np.array(line.y).tolist(), np.array(marks.y).tolist()) == ([0.75], [0.79])
    assert marks.text[0].endswith("<br>estimated 0.750")
    assert "estimates of the searches" in page.page(found)
    assert words.as_json(found)["runs"][1]["frontier"][0]["estimated_robust_accuracy"] == 0.75


def test_runs_whose_folders_end_alike_are_told_apart(tmp_path: Path) -> None:
    found = compare([first(tmp_path / "a" / "run"), second(tmp_path / "b" / "run")])
    assert [side.name for side in found.sides] == [f"{tmp_path}/a/run", f"{tmp_path}/b/run"]


def test_a_run_is_named_by_its_folder_however_it_was_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def at(place: str) -> Run:
        return Run(Folder(place), {}, (), ())

    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert _names([at("."), at("../r1")]) == ["here", "r1"]
    options = "?endpoint_override=minio.example:9000"
    assert _names([at(f"s3://bucket/runs/a{options}"), at(f"s3://bucket/runs/b{options}")]) == ["a", "b"]
    assert _names([at("x/a"), at("y/a")]) == ["x/a", "y/a"]
