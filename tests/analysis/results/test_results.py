"""A run as it is looked at from Python: the same numbers as in its files, and recipes to pick from."""

import io
from pathlib import Path

import pandas as pd
import pytest

import analysis
from analysis.report.report import write_report
from analysis.results.results import Results, load_run
from analysis.run.trials import read_run
from tests.support.run_directories import add, start, worked_example
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel
from trainables.storage import Folder


@pytest.fixture
def results(tmp_path: Path) -> Results:
    write_report(worked_example(tmp_path))
    return load_run(tmp_path)


def test_tables_are_those_of_the_files(results: Results, tmp_path: Path) -> None:
    written = pd.read_csv(io.StringIO((tmp_path / "frontier.csv").read_text()))
    assert results.frontier["id"].tolist() == written["id"].tolist() == ["a", "b", "pgd"]
    assert results.frontier["train_flops"].tolist() == written["train_flops"].tolist()
    assert results.trials["id"].tolist() == pd.read_parquet(tmp_path / "recipes.parquet")["id"].tolist()
    assert len(results.epochs) == len(pd.read_parquet(tmp_path / "trials.parquet"))


def test_the_cheapest_by_the_compute_that_is_an_objective_comes_first(tmp_path: Path) -> None:
    """The pretraining of b, which its own compute leaves out, makes it dearer than a."""
    objectives = [
        {"metric": "robust_accuracy", "direction": "max"},
        {"metric": "end_to_end_flops", "direction": "min"},
    ]
    start(tmp_path, objectives=objectives)
    add(tmp_path, "base", role="base", number=0, robust=0.2, flops=0.0, end_to_end=1e8)
    add(tmp_path, "a", number=1, robust=0.6, flops=2e9, end_to_end=3e9)
    add(tmp_path, "b", number=2, robust=0.8, flops=1e9, end_to_end=9e9)
    write_report(read_run(Folder(str(tmp_path))))
    assert load_run(tmp_path).frontier["id"].tolist() == ["a", "b"]
    assert pd.read_csv(tmp_path / "frontier.csv")["id"].tolist() == ["a", "b"]


def test_it_says_what_it_is(results: Results, tmp_path: Path) -> None:
    assert results.folder == str(tmp_path)
    assert results.threat_model == ThreatModel(norm="linf", epsilon=0.2)
    assert repr(results).endswith("recipes have ended, 3 on the frontier")
    page = results._repr_html_()
    assert results.verdict.split("'")[0] in page
    assert page.count("<tr") == 4


def test_a_recipe_is_picked_by_rule_name_or_id(results: Results) -> None:
    assert results.pick("max-robust").id == "b"
    assert results.pick().id == "a"
    reference = results.pick("pgd_at_20")
    assert (reference.id, reference.name) == ("pgd", "pgd_at_20")
    assert reference.metrics["train_flops"] == results.frontier.set_index("id").loc["pgd", "train_flops"]
    assert reference.yaml.startswith("format: 1\nid: pgd\n")
    assert repr(reference).startswith("pgd_at_20: ")
    for what, words in (
        ("all", "^pick: got 'all', expected knee, parity, max-robust, a name or the .*: it chooses one recipe, and"),
        ("best", "no trial is called 'best', expected one such as knee, parity, max-robust, base"),
        (None, "^pick: got None, expected knee"),
    ):
        with pytest.raises(InvalidInput, match=words):
            results.pick(what)  # type: ignore[arg-type]  # None is what is refused


def test_a_frontier_of_one_recipe_is_picked_from_by_the_same_words(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", robust=0.5)
    with pytest.raises(InvalidInput, match=r"^pick: got 'all', expected knee"):
        load_run(tmp_path).pick("all")


def test_a_network_whose_data_are_not_those_of_the_run_is_refused(results: Results) -> None:
    with pytest.raises(InvalidInput, match="data have changed since it began; force=True"):
        results.pick("max-robust").model()
    with pytest.raises(InvalidInput, match="no whole checkpoint"):
        results.pick("max-robust").model(force=True)
    images, labels = results.pick("max-robust").validation(force=True)
    assert len(images) == len(labels) > 0


def test_the_figure_has_a_mark_for_each_finished_recipe(results: Results) -> None:
    marks = [trace for trace in results.figure().data if "markers" in trace.mode]
    drawn = sorted(one for trace in marks for one in trace.y)
    table = results.trials
    assert drawn == sorted(table[table["role"] != "base"]["robust_accuracy"].dropna())  # the base costs nothing


def test_a_run_in_which_nothing_has_finished_can_be_looked_at(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "a", state="fail")
    results = analysis.load_run(str(tmp_path))
    assert len(results.frontier) == 0
    assert len(results.trials) == 1
    assert "0 on the frontier" in repr(results)
    assert "<table" in results._repr_html_()
    assert len(results.figure().data) > 0


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"no readable run\.json in it"):
        load_run(tmp_path)
    with pytest.raises(AttributeError, match="no attribute 'load_runs'"):
        analysis.load_runs  # noqa: B018  # the lookup itself raises
