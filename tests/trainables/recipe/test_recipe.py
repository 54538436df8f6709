"""A recipe's id is kept once it was asked for, which nothing but the time that it takes may show."""

import copy
import json
import os
import pickle
import subprocess
import sys
from typing import Any

from trainables.recipe.recipe import Recipe

PLAIN: dict[str, Any] = {
    "data": {"name": "digits", "validation_size": 100},
    "model": {"name": "small"},
    "schedule": {"epochs": 5, "learning_rate": 0.1},
}


def test_a_copy_with_another_field_has_another_id() -> None:
    recipe = Recipe.model_validate(PLAIN)
    first = recipe.id
    other = recipe.model_copy(update={"seed": 1})
    assert other.id == Recipe.model_validate({**PLAIN, "seed": 1}).id != first
    assert other.model_copy(update={"seed": 0}).id == first
    on_it = recipe.model_copy(update={"base": other})
    assert on_it.id == Recipe.model_validate({**PLAIN, "base": {**PLAIN, "seed": 1}}).id


def test_a_copy_with_another_field_is_found_under_itself_alone() -> None:
    recipe = Recipe.model_validate(PLAIN)
    known = {recipe: "seed 0"}
    other = recipe.model_copy(update={"seed": 1})
    assert other not in known
    assert known[other.model_copy(update={"seed": 0})] == "seed 0"
    assert hash(other) == hash(Recipe.model_validate({**PLAIN, "seed": 1})) != hash(recipe)


def test_a_recipe_from_another_process_is_found_in_this_one() -> None:
    """Hashes of text differ from process to process, so none may come along."""
    code = (
        "import json, pickle, sys; from trainables.recipe.recipe import Recipe; "
        "one = Recipe.model_validate(json.loads(sys.argv[1])); {one}; sys.stdout.write(pickle.dumps(one).hex())"
    )
    sent = subprocess.run(
        [sys.executable, "-c", code, json.dumps(PLAIN)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert pickle.loads(bytes.fromhex(sent.stdout)) in {Recipe.model_validate(PLAIN)}


def test_a_recipe_whose_id_was_asked_for_is_as_one_whose_id_was_not() -> None:
    asked, fresh = Recipe.model_validate(PLAIN), Recipe.model_validate(PLAIN)
    assert asked.id == asked.id
    assert asked == fresh
    assert hash(asked) == hash(fresh)
    assert asked != Recipe.model_validate({**PLAIN, "seed": 1})
    assert asked.model_dump(mode="json") == fresh.model_dump(mode="json")
    assert asked.model_dump_json() == fresh.model_dump_json()
    for one in (copy.copy(asked), copy.deepcopy(asked), pickle.loads(pickle.dumps(asked))):
        assert one == fresh
        assert one.id == fresh.id
