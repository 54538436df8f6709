"""Trials that are read back."""

from pathlib import Path

from analysis.run.trials import read_run
from search.resume.history import next_order, remember
from tests.support.run_directories import add, start, worked_example
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder


def test_recipes_are_what_was_recorded_and_share_the_base_that_they_start_from(tmp_path: Path) -> None:
    worked_example(tmp_path)
    run = read_run(Folder(str(tmp_path)))
    recipes = [one.proposal.recipe for one in remember(run)]
    assert recipes == [Recipe.model_validate(one.recipe) for one in run.trials]
    bases = [one.base for one in recipes if one.base is not None]
    assert len(bases) > 1
    assert all(one is bases[0] for one in bases)


def test_the_next_trial_that_ends_has_the_next_place_in_the_order_of_ending(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    start(tmp_path)
    add(tmp_path, "runs", number=0, state=None)
    past = remember(read_run(folder))
    assert [one.order for one in past] == [-1]
    assert next_order(past) == next_order([]) == 0
    add(tmp_path, "ended", number=1, order=4, robust=0.5)
    assert next_order(remember(read_run(folder))) == 5
