"""A study that names an attack of the user's own: where it may, and what is refused when the study is loaded."""

import sys
from pathlib import Path

import optuna
import pytest

from search.recipes.fixed import FixedRecipes
from search.recipes.grid_cells import grid_cells
from search.study.loading import changed, load
from search.study.space import SEARCHED
from search.study.user_functions import user_attacks
from tests.support.command import temper_here
from tests.support.recipes import propose
from trainables.attacks.config import CONFIGS, UserAttack
from trainables.errors import InvalidInput

OWN = "tests.support.mi_fgsm:attack"
ARM = "{name: own, base: base, schedule: {epochs: 1, learning_rate: 0.1}, "
ARM += f"perturbation: {{kind: '{OWN}', epsilon: 1, norm: l2}}}}"
NAMED = [
    f"baselines.1.perturbation={{kind: '{OWN}', epsilon: 0.2, warm_up: 0.5, settings: {{steps: 5}}}}",
    f"grid={{bits: [8], arms: [{ARM}]}}",
    f"space.perturbation.kind=[n_fgsm, '{OWN}']",
    "space.perturbation.warm_up=[0, 0.3]",
]


@pytest.fixture
def users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of the user's, whose modules no earlier test has imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "theirs", raising=False)
    return tmp_path


def asked(count: int) -> list[optuna.Trial]:
    sampler = optuna.samplers.RandomSampler(seed=0)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    return [study.ask() for _ in range(count)]


def test_baselines_arms_and_spaces_name_it() -> None:
    study = load("digits", NAMED)
    assert user_attacks(study) == {
        "baselines.1.perturbation.kind": UserAttack(kind=OWN, epsilon=0.2, warm_up=0.5, settings={"steps": 5}),
        "grid.arms.0.perturbation.kind": UserAttack(kind=OWN, epsilon=1, norm="l2"),
        "space.perturbation.kind.1": UserAttack(kind=OWN, epsilon=study.space.perturbation.epsilon.high),  # type: ignore[union-attr]
    }
    assert sum(fixed.recipe.perturbation.kind == OWN for fixed in FixedRecipes.of(study)) == 1 + len(grid_cells(study))


def test_it_is_searched_over_without_a_number_of_steps() -> None:
    study = load("digits", NAMED)
    trials = asked(20)
    recipes = [propose(trial, study) for trial in trials]
    attacks = [recipe.perturbation for recipe in recipes if recipe.perturbation.kind == OWN]
    assert 5 <= len(attacks) <= 15
    assert all(isinstance(attack, UserAttack) and not attack.settings for attack in attacks)
    assert {attack.model_dump()["warm_up"] for attack in attacks} == {0.0, 0.3}
    assert len({attack.model_dump()["epsilon"] for attack in attacks}) == len(attacks)
    assert not [trial for trial in trials if "attack_steps" in trial.params]
    in_l2 = ["threat_model={norm: l2, epsilon: 1.5}", "space.perturbation={norm: l2, epsilon: {low: 1, high: 2}}"]
    study = load("digits", [*in_l2, f"space.perturbation.kind=['{OWN}']"])
    attack = propose(asked(1)[0], study).perturbation
    assert isinstance(attack, UserAttack)
    assert attack.norm == "l2"


def test_what_is_searched_over_is_known() -> None:
    assert set(SEARCHED) < set(CONFIGS)
    with pytest.raises(InvalidInput) as caught:
        load("digits", ["space.perturbation.kind=[pgd, square]"])
    expected = "got 'square', expected fgsm, n_fgsm, pgd or module:function"
    assert caught.value.problems == (f"space.perturbation.kind.1: {expected}",)


def test_every_attack_that_cannot_be_had_is_told_with_its_key(users_folder: Path) -> None:
    (users_folder / "theirs.py").write_text("def wrong(strength): ...\nthree = 3\n")
    settings = [
        "baselines.0.perturbation={kind: 'theirs:wrong', epsilon: 0.1}",
        f"grid={{bits: [8], arms: [{ARM.replace(OWN, 'theirs:three')}]}}",
        "space.perturbation.kind=[pgd, 'nosuch:attack', 'json:loads']",
    ]
    with pytest.raises(InvalidInput) as caught:
        load("digits", settings)
    known = load("digits")
    with pytest.raises(InvalidInput) as of_changed:
        changed(known, settings)
    assert of_changed.value.problems == caught.value.problems
    first, second, third, fourth = caught.value.problems
    assert first.startswith(
        "baselines.0.perturbation.kind: theirs:wrong does not take the keyword arguments epsilon, n"
    )
    assert second == "grid.arms.0.perturbation.kind: got 'theirs:three', expected a function"
    assert third.startswith("space.perturbation.kind.1: got 'nosuch:attack', which cannot be imported")
    assert fourth.startswith("space.perturbation.kind.2: got 'json:loads', expected a module in the study's folder")


def test_the_free_loop_does_not_replay_it() -> None:
    with pytest.raises(InvalidInput, match=f"loop.kind: got free with perturbation {OWN}, expected perturbation fgsm"):
        load("digits", [*NAMED, "baselines.1.loop.kind=free"])


def test_validate_refuses_it_without_a_traceback(users_folder: Path) -> None:
    (users_folder / "theirs.py").write_text("import torch\ndef attack(strength): ...\n")
    own = "baselines.0.perturbation={kind: 'theirs:attack', epsilon: 0.1}"
    refused = temper_here("validate", "digits", settings=[own], cwd=users_folder)
    assert refused.returncode == 2
    assert "theirs:attack does not take the keyword arguments epsilon, norm" in refused.stderr
    assert "Traceback" not in refused.stderr
