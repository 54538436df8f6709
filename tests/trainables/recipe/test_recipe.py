"""A recipe's id is kept once it was asked for, which nothing but the time that it takes may show."""

import copy
import pickle
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
