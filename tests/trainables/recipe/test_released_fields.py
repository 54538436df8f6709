"""A recipe's id stays when fields are added to it: every field has a row, and a released default never changes."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Optional, get_args

import pytest
from pydantic import BaseModel

from search.recipes.fixed import FixedRecipes
from search.study.loading import load, shipped
from trainables.config import Frozen
from trainables.recipe.recipe import Recipe
from trainables.recipe.released_fields import RELEASED, REQUIRED, identifying_fields
from trainables.recipe.schedule import Schedule

# What each version released, which nothing may change any more: hash of its rows. A release adds its own line.
SEALED = {"0.1": "a60a8313de1ae928", "0.2": "8859746c9306df4a"}
PLAIN: dict[str, Any] = {
    "data": {"name": "digits", "validation_size": 100},
    "model": {"name": "small"},
    "schedule": {"epochs": 5, "learning_rate": 0.1},
}


def configurations(kind: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """A configuration and all that may be in it, by class name."""
    found: dict[str, type[BaseModel]] = {}
    waiting = [kind]
    while waiting:
        one = waiting.pop()
        if one.__name__ not in found:
            found[one.__name__] = one
            waiting += [inner for field in one.model_fields.values() for inner in models(field.annotation)]
    return found


def models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models(part)


def rows(kind: type[BaseModel]) -> dict[str, Any]:
    """Field to default as the code has it, a default that is a configuration by what identifies it."""
    found = {}
    for name, field in kind.model_fields.items():
        default = field.get_default(call_default_factory=True)
        plain = identifying_fields(default) if isinstance(default, BaseModel) else default
        found[name] = REQUIRED if field.is_required() else plain
    return found


def seal(table: dict[str, dict[str, Any]]) -> str:
    """A hash that tells 4 from 4.0, as an id does."""
    text = json.dumps(table, sort_keys=True, default=lambda required: "required")
    return sha256(text.encode()).hexdigest()[:16]


def test_every_field_has_a_row_with_its_default_and_every_row_a_field() -> None:
    inside = configurations(Recipe)
    assert set(RELEASED) == set(inside)
    assert len(inside) >= 20
    for name, versions in RELEASED.items():
        table = {field: default for fields in versions.values() for field, default in fields.items()}
        assert sum(map(len, versions.values())) == len(table), f"{name}: a field is in two versions"
        assert seal({name: table}) == seal({name: rows(inside[name])}), name


@pytest.mark.parametrize("version", SEALED)
def test_what_a_version_released_is_never_changed(version: str) -> None:
    released = {name: dict(versions[version]) for name, versions in RELEASED.items() if version in versions}
    assert seal(released) == SEALED[version]


def test_all_versions_but_the_one_in_the_making_are_sealed() -> None:
    versions = {version for rows in RELEASED.values() for version in rows}
    newest = max(versions, key=lambda version: tuple(map(int, version.split("."))))
    assert versions - set(SEALED) <= {newest}
    assert set(SEALED) <= versions


def test_versions_rise_and_a_field_that_came_later_has_a_default() -> None:
    for name, versions in RELEASED.items():
        numbers = [tuple(map(int, version.split("."))) for version in versions]
        assert numbers == sorted(set(numbers)), name
        for fields in list(versions.values())[1:]:
            assert REQUIRED not in fields.values(), name


class LaterSchedule(Schedule):
    """A schedule of some version to come."""

    cool_down: float = 0.0


class LaterPart(Frozen):
    """A configuration that comes with a field to come: all of it goes into the id where the field does."""

    size: int = 1


class LaterRecipe(Recipe):
    """A recipe of some version to come: three new fields, one of them in a part, and parents of that version."""

    schedule: LaterSchedule
    base: Optional["LaterRecipe"] = None
    clipping: float | None = None
    part: LaterPart = LaterPart()


def test_a_field_that_comes_later_leaves_ids_alone_at_its_default_and_changes_them_elsewhere() -> None:
    before = Recipe.model_validate(PLAIN | {"base": PLAIN})
    assert LaterRecipe.model_validate(PLAIN | {"base": PLAIN}).id == before.id
    cooled = PLAIN | {"schedule": {"epochs": 5, "learning_rate": 0.1, "cool_down": 0.5}}
    others = [
        PLAIN | {"base": PLAIN, "clipping": 1.0},
        PLAIN | {"base": PLAIN, "part": {"size": 2}},
        cooled | {"base": PLAIN},
        PLAIN | {"base": cooled},
        PLAIN | {"base": PLAIN | {"clipping": 1.0}},
    ]
    ids = {LaterRecipe.model_validate(one).id for one in others}
    assert len(ids | {before.id}) == 6


def test_fields_of_a_class_s_first_version_are_always_in_the_id() -> None:
    recipe = Recipe.model_validate(PLAIN | {"base": PLAIN})
    first = recipe.model_dump(mode="json")
    for one in (first, first["base"]):
        assert one["model"].pop("uncounted_operators") == []  # came with 0.3
        assert one["model"].pop("pixel_mean") is one["model"].pop("pixel_std") is None  # and so did these
        assert one["schedule"].pop("last_epoch_steps") is None
    assert identifying_fields(recipe) == first
    assert recipe.id == "bccef97136249626"


LATER = ("digits_wide_recorded", "fashion_mnist_3000_recorded")  # studies that 0.1 did not have


def test_the_recipes_of_all_shipped_studies_have_the_ids_that_they_had_in_0_1() -> None:
    told = sha256()
    for name in shipped():
        if name in LATER:
            continue
        for fixed in FixedRecipes.of(load(name)):
            told.update(f"{name}{fixed.name}{fixed.recipe.id}".encode())
    assert told.hexdigest()[:16] == "74341f27489b854c"
