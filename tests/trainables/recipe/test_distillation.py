"""Distillation in a recipe: it reads back as it was, and what cannot be distilled is refused in words."""

from typing import Any

import pytest

from trainables.attacks.config import PGD
from trainables.data.config import Data
from trainables.models.config import Network
from trainables.recipe.recipe import Distillation, Recipe
from trainables.recipe.schedule import Schedule

BASE = Recipe(
    data=Data(name="digits", train_size=200, validation_size=100),
    model=Network(name="small"),
    schedule=Schedule(epochs=2, learning_rate=0.05),
)


def test_a_recipe_reads_back_with_its_teacher() -> None:
    teacher = BASE.model_copy(update={"base": BASE, "perturbation": PGD(epsilon=0.2, steps=2)})
    student = BASE.model_copy(update={"base": BASE, "distillation": Distillation(teacher=teacher)})
    of_its_base = BASE.model_copy(update={"base": BASE, "distillation": Distillation()})
    made = Recipe.model_validate(student.model_dump(mode="json"))
    assert made == student
    assert made.id == student.id != of_its_base.id
    assert made.teacher == teacher
    assert of_its_base.teacher == BASE


def test_what_cannot_be_distilled_is_refused() -> None:
    plain = BASE.model_dump(mode="json")
    tuned = plain | {"base": plain}

    def refused(recipe: dict[str, Any], distillation: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Recipe.model_validate(recipe | {"distillation": distillation})

    refused(plain, {}, "distillation.teacher: got null without a base, expected a recipe")
    refused(tuned, {"teacher": plain}, "distillation.teacher: got the recipe's own base, expected null")
    refused(tuned, {"weight": 0}, "greater than 0")
    refused(tuned, {"weight": 1.1}, "less than or equal to 1")
    refused(tuned, {"temperature": 0}, "greater than 0")
    free = {"perturbation": {"kind": "fgsm", "epsilon": 0.1}, "loop": {"kind": "free"}}
    refused(tuned | free, {}, "loop.kind: got free with distillation, expected the ordinary loop")
    other = plain | {"data": plain["data"] | {"split_seed": 1}}
    refused(tuned, {"teacher": other}, "distillation.teacher.data: got other data than the recipe's")
    taken = {"weights": {"path": "x"}, "schedule": {"epochs": 0, "learning_rate": 1.0}}
    refused(plain | taken, {"teacher": plain}, "schedule.epochs: got 0 with distillation, expected at least 1")
