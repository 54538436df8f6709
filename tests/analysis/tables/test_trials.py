"""The tidy table of recipes: parameters and final numbers in one row."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.report.report import write_report
from analysis.run.trials import Trial, read_run
from analysis.tables.trials import curves, finished, recipes
from tests.support.run_directories import worked_example
from trainables.storage import Folder


def test_each_recipe_has_one_row_with_its_parameters_and_its_final_numbers(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    assert run.trials
    trial = next(one for one in run.trials if one.role == "proposed" and one.metrics)
    trial.params.update({"epochs": 3, "scope": "global"})
    write_report(run)
    table = pd.read_parquet(io.BytesIO(Folder(str(run.folder)).read("recipes.parquet")))
    assert table["id"].tolist() == [one.id for one in run.trials]
    row = table.set_index("id").loc[trial.id]
    assert (row["param.epochs"], row["param.scope"]) == (3, "global")
    assert row["robust_accuracy"] == trial.metrics["robust_accuracy"]
    assert row["train_flops"] == trial.metrics["train_flops"]
    assert table["param.epochs"].notna().sum() == 1
    assert set(table["state"]) == {one.state.value for one in run.trials}
    unfinished = table[table["state"] != "complete"]
    assert unfinished["robust_accuracy"].isna().all()
    assert not unfinished["on_frontier"].any()
    assert list(table.columns)[:3] == ["id", "number", "role"]
    assert read_run(run.folder).trials


def test_a_choice_of_none_is_told_from_a_parameter_that_was_not_asked_for(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    first, second, *_ = [one for one in run.trials if one.role == "proposed"]
    first.params.update({"epochs": 3, "averaging": None})
    second.params.update({"epochs": 4})
    write_report(run)
    table = pd.read_parquet(io.BytesIO(Folder(str(run.folder)).read("recipes.parquet"))).set_index("id")
    assert table["param.averaging"].isna().all()
    assert [str(table.loc[one.id, "asked"]).split() for one in (first, second)] == [["epochs", "averaging"], ["epochs"]]
    assert set(table["asked"].drop([first.id, second.id])) == {""}  # as of fixed recipes


def test_a_run_without_trials_has_an_empty_table(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    empty = replace(run, trials=())
    for table in (recipes, curves):
        some, none = table(run), table(empty)
        assert len(none) == 0
        assert list(none) == [name for name in some if name in set(none)]
        assert {"id", "state"} < set(none)
    assert list(recipes(empty)["state"]) == []


class Counted(tuple[Trial, ...]):
    """Trials that count how often someone goes through them."""

    times = 0

    def __iter__(self) -> Iterator[Trial]:
        type(self).times += 1
        return super().__iter__()


def test_trials_are_gone_through_a_few_times_and_not_once_for_each_also_without_a_reference(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    trials = [one for one in run.trials if one.id not in (run.info["reference"], run.info["base"])]
    many = Counted(replace(trials[place % len(trials)], id=str(place)) for place in range(300))
    table = finished(replace(run, trials=many))
    assert len(table) > 100
    assert "marginal_ratio" not in table
    assert Counted.times < 30
