"""What a study may say of an attack, and how a record's attack is told in words."""

import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest

from trainables.attacks.config import CONFIGS, PERTURBATION, UserAttack, attack_config, recorded_words
from trainables.config import parse
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

WORDS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "none"}, "ordinary"),
    ({"kind": "fgsm", "epsilon": 0.1, "step_size": None, "warm_up": 0.0}, "FGSM ε 0.1"),
    ({"kind": "n_fgsm", "epsilon": 8 / 255, "warm_up": 0.3}, "N-FGSM ε 8/255 warm-up 30%"),
    ({"kind": "pgd", "norm": "linf", "epsilon": 0.236, "steps": 5, "step_size": None}, "PGD-5 ε 0.236"),
    ({"kind": "pgd", "norm": "l2", "epsilon": 1, "steps": 10, "warm_up": 0.5}, "PGD-10 L2 ε 1 warm-up 50%"),
    ({"kind": "pgd_as_published", "epsilon": 0.05, "steps": 20}, "PGD-20 as published ε 0.05"),
    ({"kind": "mine:own", "epsilon": 0.1}, "mine:own ε 0.1"),
    (
        {"kind": "mine:own", "norm": "l2", "epsilon": 2, "settings": {"steps": 3, "how": "far"}, "warm_up": 0.1},
        "mine:own steps 3 how far L2 ε 2 warm-up 10%",
    ),
    # of a version that knew more, or other keys
    ({"kind": "square", "epsilon": 0.1, "queries": 500, "norm": None}, "square epsilon 0.1 queries 500"),
    ({"kind": "fgsm", "epsilon": 0.1, "restarts": 2, "warm_up": 0.0}, "fgsm epsilon 0.1 restarts 2"),
    ({}, "unknown perturbation"),
]


@pytest.mark.parametrize(("recorded", "words"), WORDS)
def test_a_record_is_told_in_words(recorded: dict[str, Any], words: str) -> None:
    assert recorded_words(recorded) == words


def test_every_kind_has_words_and_code_where_it_says() -> None:
    assert {attack_config(str(recorded.get("kind"))) for recorded, _ in WORDS} == set(CONFIGS.values())
    for config in CONFIGS.values():
        module, _, name = config.implementation.partition(":")
        assert hasattr(import_module(module), name.partition(".")[0])
    assert [kind for kind, config in CONFIGS.items() if not config.adversarial] == ["none"]
    assert [kind for kind, config in CONFIGS.items() if config.own_metric] == ["pgd_as_published"]


def problems(given: Any) -> tuple[str, ...]:
    recipe = {"data": {"name": "digits", "validation_size": 300}, "model": {"name": "small"}}
    recipe |= {"schedule": {"epochs": 1, "learning_rate": 0.1}}
    with pytest.raises(InvalidInput) as caught:
        parse(Recipe, recipe | {"perturbation": given})
    return caught.value.problems


KINDS = ", ".join(f"'{kind}'" for kind in CONFIGS)


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"kind": "square"}, f".kind: got 'square', expected {KINDS}"),
        ({"epsilon": 0.1}, ".kind: got None, expected one of the known kinds"),
        ({"kind": ["pgd"]}, f""".kind: got "['pgd']", expected {KINDS}"""),
        ("pgd", ": got 'pgd', expected a group of keys, such as {kind: pgd}"),
        (3, ": got 3, expected a group of keys"),
        ({"kind": "pgd", "epsilon": 0.1}, ".steps: missing"),
        ({"kind": "pgd", "epsilon": 0.1, "steps": 3, "norms": "l2"}, ".norms: unknown key, did you mean norm?"),
        ({"kind": "mine:own", "epsilon": "x"}, ".epsilon: got 'x', expected a number"),
        (
            {"kind": "mine:own", "epsilon": 8},
            ".epsilon: got 8, expected a number in (0, 0.5] such as 8/255, for pixels in",
        ),
        ({"kind": "mine:own", "epsilon": 0.1, "setting": {}}, ".setting: unknown key, did you mean settings?"),
        (
            {"kind": "mine:own", "epsilon": 0.1, "settings": {"norm": "l2"}},
            ".settings: got norm, expected other names: the function is given these anyway",
        ),
        ({"kind": "mine:own", "epsilon": 0.1, "settings": {"a b": 1}}, ".settings.a b: "),
        (
            {"kind": "mine:own", "epsilon": 0.1, "settings": {"a": [1]}},
            ".settings.a: got [1], expected a number,",
        ),
        ({"kind": "mine:own", "epsilon": 0.1, "settings": {"a": float("inf")}}, ".settings.a: got inf, expected a num"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(given: Any, problem: str) -> None:
    assert problems(given)[0].startswith(f"perturbation{problem}"), problems(given)


def test_a_users_attack_is_a_part_of_a_recipe() -> None:
    given = {"kind": "mine:own", "norm": "l2", "epsilon": 2.0, "warm_up": 0.1, "settings": {"b": True, "a": 1}}
    attack = PERTURBATION.validate_python(given)
    assert isinstance(attack, UserAttack)
    assert attack.model_dump(mode="json") == given
    again = PERTURBATION.validate_json(attack.model_dump_json())
    assert (again, hash(again)) == (attack, hash(attack))
    other = PERTURBATION.validate_python(given | {"settings": {"a": 1, "b": True}})
    assert (other, hash(other)) == (attack, hash(attack))
    assert PERTURBATION.validate_python(given | {"settings": {"a": 2, "b": True}}) != attack


def test_attacks_are_configured_without_torch() -> None:
    code = "import sys, trainables.attacks.config, search.study.study; assert 'torch' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
