"""Distillation in a search: what a study may say, what is proposed, and waiting for a teacher."""

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from analysis.run.summary import summary
from analysis.run.trials import State
from search.events import Outcome
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from tests.search.running.test_searcher import Log, done
from tests.support.command import SMALL
from tests.support.recipes import propose
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

_PGD = "{name: slow, perturbation: {kind: pgd, epsilon: 0.2, steps: 7}, schedule: {epochs: 9, learning_rate: 0.1}}"
TWO = [
    *SMALL,
    f"baselines=[{_PGD}]",
    "reference=slow",
    "budget.trials=4",
    "space.distillation={weight: [0, 0.5], temperature: [2, 4], teacher: [base, slow]}",
]
ALWAYS = "space.distillation={weight: [0.5], teacher: [slow]}"


def of_slow(recipe: Recipe) -> bool:
    return recipe.separate_teacher is not None


def study_of(log: Log) -> optuna.Study:
    made = log.searcher._proposer.optuna
    assert isinstance(made, optuna.Study)
    return made


def start(settings: list[str]) -> Log:
    """A search whose base (t0) has finished while its teacher (t1) runs."""
    log = Log(load("digits", settings))
    for name in ("t0", "t1"):
        assert isinstance(log.searcher.suggest(name), dict)
    log.searcher.on_trial_complete("t0", done(0.1, 0.0))
    return log


def test_temperature_and_teacher_exist_where_soft_labels_weigh_something() -> None:
    study = load("digits", TWO)
    asked = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    seen = set()
    for _ in range(40):
        trial = asked.ask()
        recipe = propose(trial, study)
        conditional = {"temperature", "teacher"} & set(trial.params)
        assert conditional == (set() if recipe.distillation is None else {"temperature", "teacher"})
        if recipe.distillation is not None:
            assert recipe.distillation.weight == trial.params["distillation_weight"] == 0.5
            assert recipe.distillation.temperature == trial.params["temperature"]
            assert of_slow(recipe) == (trial.params["teacher"] == "slow")
        assert Recipe.model_validate(recipe.model_dump(mode="json")).id == recipe.id
        words = summary(recipe.model_dump(mode="json"))
        assert ("distilled 50% T " in words) == (recipe.distillation is not None)
        assert (" from (dense · PGD-7 ε 0.2 · 9 epochs · lr 0.1 · from scratch)" in words) == of_slow(recipe)
        seen.add((recipe.distillation is None, of_slow(recipe)))
    assert seen == {(True, False), (False, False), (False, True)}


def test_nothing_is_asked_of_distillation_unless_the_study_says_so() -> None:
    trial = optuna.create_study(directions=["maximize", "minimize"]).ask()
    assert propose(trial, load("digits", [])).distillation is None
    assert not {"distillation_weight", "temperature", "teacher"} & set(trial.params)


def test_teachers_are_kept_for_others() -> None:
    study = load("digits", TWO)
    base, slow = (fixed.recipe.id for fixed in FixedRecipes.of(study))
    assert FixedRecipes.of(study).parents == FixedRecipes.of(study).teachers == {base, slow}
    unused = load("digits", [*TWO, "space.distillation.weight=[0]"])
    assert (FixedRecipes.of(unused).parents, FixedRecipes.of(unused).teachers) == (frozenset({base}), frozenset())
    soft = "{weight: 0.3, temperature: 2, teacher: slow}"
    student = f"{{name: student, base: base, distillation: {soft}, perturbation: {{kind: n_fgsm, epsilon: 0.2}}, "
    student += "schedule: {epochs: 1, learning_rate: 0.1}}"
    fixed = load("digits", [*TWO, f"baselines=[{_PGD}, {student}]", "space.distillation={}"])
    recipes = FixedRecipes.of(fixed)
    assert (recipes.parents, recipes.teachers) == (frozenset({base, slow}), frozenset({slow}))
    made = list(recipes)[-1].recipe
    assert made.base == base_recipe(fixed)
    assert made.distillation is not None
    assert (made.distillation.weight, made.distillation.temperature) == (0.3, 2)
    assert made.separate_teacher == list(FixedRecipes.of(fixed))[1].recipe


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["space.distillation.teacher=[fast]"], "space: got distillation.teacher fast, expected names out of base, "),
        (["space.distillation.weight=[2]"], "space.distillation.weight.0: got 2, expected a number <= 1"),
        (["space.distillation.temperature=[0]"], "space.distillation.temperature.0: got 0, expected a number > 0"),
        (["baselines.0.distillation={}"], "got null without a base, expected a name"),
        (
            ["baselines.5.distillation={teacher: pgd_at_20}"],
            "got pgd_at_20, its own base, expected null, which stands for it",
        ),
        (
            ["baselines.0.distillation={teacher: pgd_at_10}"],
            "baselines: got teacher 'pgd_at_10' in pgd_at_20, expected null or one of base",
        ),
        (
            ["baselines.0.distillation={teacher: base, weight: 0}"],
            r"baselines.0.distillation.weight: got 0, expected a number in \(0, 1\]",
        ),
        (
            [
                "baselines.1.distillation={teacher: base}",
                "baselines.1.loop={kind: free}",
                "baselines.1.perturbation={kind: fgsm, epsilon: 0.2}",
            ],
            "loop.kind: got free with distillation, expected the ordinary loop",
        ),
    ],
)
def test_studies_that_cannot_be(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("digits", settings)


def test_a_proposal_waits_for_its_teacher_while_others_run() -> None:
    log = start(TWO)
    while log.searcher.suggest(f"t{len(log.proposals)}") is not None:
        pass
    early = [proposal.recipe for proposal in log.proposals[2:]]
    trials = study_of(log).get_trials(deepcopy=False)
    assert len(trials) == 4  # every proposal of the budget was asked for, once
    assert 0 < len(early) < 4
    assert not any(of_slow(recipe) for recipe in early)
    log.searcher.on_trial_complete("t1", done(0.7, 1e9))
    while isinstance(log.searcher.suggest(f"t{len(log.proposals)}"), dict):
        pass
    late = [proposal.recipe for proposal in log.proposals[2 + len(early) :]]
    assert len(early) + len(late) == 4
    assert all(of_slow(recipe) for recipe in late)
    assert len(study_of(log).get_trials(deepcopy=False)) == 4
    assert log.searcher.suggest("last") == Searcher.FINISHED
    for number, proposal in enumerate(log.proposals):
        assert proposal.number == number
    for number in range(2, 6):
        log.searcher.on_trial_complete(f"t{number}", done(0.5, 1e9 * number))
    assert [trial.state for trial in study_of(log).get_trials(deepcopy=False)] == [TrialState.COMPLETE] * 4


ENDINGS: dict[str, Callable[[Log], Any]] = {
    "lost": lambda log: log.searcher.on_trial_complete("t1", None, error=True),
    "diverged": lambda log: log.searcher.on_trial_complete("t1", {"finished": True, "reason": "diverged: nan"}),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_waited_for_a_lost_teacher_makes_room_for_others(ending: str) -> None:
    log = start(TWO)
    while log.searcher.suggest(f"t{len(log.proposals)}") is not None:
        pass
    ENDINGS[ending](log)
    while isinstance(log.searcher.suggest(f"t{len(log.proposals)}"), dict):
        pass
    assert log.searcher.suggest("last") == Searcher.FINISHED
    assert [proposal.role for proposal in log.proposals] == ["base", "baseline"] + ["proposed"] * 4
    assert not any(of_slow(proposal.recipe) for proposal in log.proposals)
    trials = study_of(log).get_trials(deepcopy=False)
    waited = [trial for trial in trials if trial.params.get("teacher") == "slow"]
    assert {trial.state for trial in waited} == {TrialState.FAIL}


def test_a_search_of_nothing_but_a_lost_teachers_students_ends() -> None:
    log = start([*TWO, ALWAYS, "budget.trials=20"])
    assert log.searcher.suggest("t2") is None
    assert len(study_of(log).get_trials(deepcopy=False)) == 16  # no more are asked for without learning anything
    assert log.searcher.suggest("t2") is None
    assert len(study_of(log).get_trials(deepcopy=False)) == 16
    ENDINGS["lost"](log)
    assert log.searcher.suggest("t2") == Searcher.FINISHED
    assert len(log.proposals) == 2
    assert {trial.state for trial in study_of(log).get_trials(deepcopy=False)} == {TrialState.FAIL}


def test_a_lost_base_ends_a_search_with_teachers() -> None:
    log = Log(load("digits", [*TWO, ALWAYS]))
    for name in ("t0", "t1"):
        log.searcher.suggest(name)
    log.searcher.on_trial_complete("t0", None, error=True)
    assert log.searcher.suggest("t2") == Searcher.FINISHED


def test_a_baseline_waits_for_its_base_and_its_teacher() -> None:
    soft = "{name: student, base: base, distillation: {teacher: slow}, perturbation: {kind: n_fgsm, epsilon: 0.2}, "
    soft += "schedule: {epochs: 1, learning_rate: 0.1}}"
    pupil = soft.replace("student", "pupil").replace("base: base", "base: student").replace("{teacher: slow}", "{}")
    settings = [*TWO, f"baselines=[{_PGD}, {soft}, {pupil}]", "space.distillation={}", "budget.trials=1"]
    for ending in ("complete", "lost"):
        log = start(settings)
        assert isinstance(log.searcher.suggest("t2"), dict)
        assert log.proposals[-1].role == "proposed"
        log.searcher.on_trial_complete("t1", done(0.7, 1e9) if ending == "complete" else None, error=ending == "lost")
        if ending == "complete":
            assert isinstance(log.searcher.suggest("t3"), dict)
            assert log.proposals[-1].name == "student"
            assert log.searcher.suggest("t4") is None
            log.searcher.on_trial_complete("t3", done(0.7, 1e9))
            assert isinstance(log.searcher.suggest("t4"), dict)
            assert log.proposals[-1].name == "pupil"
        else:
            assert log.searcher.suggest("t3") == Searcher.FINISHED
            assert [proposal.name for proposal in log.proposals[-2:]] == ["student", "pupil"]
            assert log.outcomes[-2:] == [
                Outcome(State.FAIL, "its teacher did not finish", None, 0.0),
                Outcome(State.FAIL, "what it starts from did not finish", None, 0.0),
            ]
