"""Trials that are read back."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.run.trials import read_run
from search.events import Proposal
from search.resume.history import next_order, remember
from search.samplers.sampler import same_recipe
from tests.support.run_directories import add, start, worked_example
from trainables.errors import TemperError
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


def test_the_id_of_a_proposal_is_the_recorded_one_and_a_recipe_that_was_edited_is_still_noticed(tmp_path: Path) -> None:
    run = worked_example(tmp_path)
    told = replace(run, trials=tuple(replace(one, params={"x": 1}) if one.id == "a" else one for one in run.trials))
    (proposal,) = (one.proposal for one in remember(told) if one.proposal.params)
    assert proposal.recipe.id == "a"
    assert same_recipe(proposal, Recipe.model_validate(run.trials[3].recipe)) is proposal.recipe
    edited = Proposal(proposal.recipe.model_copy(update={"seed": 7}).known_as("a"), "proposed", None, 3)
    with pytest.raises(TemperError, match="recipe a: its parameters make another recipe now"):
        same_recipe(edited, proposal.recipe)
