"""Proposals without a base: what a study may say, what is proposed, what it costs and how it is called."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import optuna
import pytest
from ray.tune.search import Searcher

from analysis.run.summary import summary
from search.preflight.dry_run import _without_flops
from search.recipes.choosers import RandomChooser
from search.recipes.finite_space import planned_proposals
from search.recipes.first_proposals import check_first
from search.recipes.fixed import FixedRecipes
from search.samplers.sampler import SearchState
from search.simulation.recording import read, write
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.made_recordings import COUNT, finite, made
from tests.support.recipes import propose
from tests.support.replayed_search import Search
from tests.support.searcher import Log, done, sampler
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

_PGD = "{name: slow, perturbation: {kind: pgd, epsilon: 0.2, steps: 7}, schedule: {epochs: 9, learning_rate: 0.1}}"
BOTH = [*SMALL, "space.base=[base, none]"]
SOFT = "space.distillation={weight: [0.5], temperature: [2, 4], teacher: [base, slow, dense]}"
DENSE = _PGD.replace("slow", "dense").replace("7", "3")


def drawn(study: Study, count: int) -> list[tuple[Mapping[str, object], Recipe]]:
    asked = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    trials = [asked.ask() for _ in range(count)]
    made = [propose(trial, study) for trial in trials]
    return [(trial.params, recipe) for trial, recipe in zip(trials, made, strict=True)]


def test_a_proposal_starts_from_the_base_or_from_scratch() -> None:
    study = load("digits", BOTH)
    base = FixedRecipes.of(study).base.recipe
    starts = set()
    for params, recipe in drawn(study, 20):
        assert recipe.base == {"base": base, "none": None}[str(params["base"])]
        assert ("from scratch" in summary(recipe.model_dump(mode="json"))) == (recipe.base is None)
        starts.add(params["base"])
    assert starts == {"base", "none"}


def test_a_study_that_says_nothing_asks_for_no_start_and_draws_as_before() -> None:
    study = load("digits", SMALL)
    assert all("base" not in params and recipe.base is not None for params, recipe in drawn(study, 5))
    first = RandomChooser(np.random.default_rng(3))
    propose(first, study)
    assert next(iter(first.params)) == "pruning_ratio"


def test_null_says_none_and_one_start_is_not_asked_for() -> None:
    study = load("digits", [*SMALL, "space.base=null"])
    assert study.space is not None
    assert study.space.base == ("none",)
    for params, recipe in drawn(study, 5):
        assert recipe.base is None
        assert "base" not in params
    assert FixedRecipes.of(study).searched_bases == ()


def test_from_scratch_baselines_alone_can_teach() -> None:
    study = load("digits", [*BOTH, f"baselines=[{_PGD}, {DENSE}]", "reference=slow", SOFT])
    names = {one.recipe: one.name for one in FixedRecipes.of(study)}
    seen = set()
    for params, recipe in drawn(study, 60):
        assert recipe.teacher is not None
        asked = "teacher" if recipe.base is not None else "teacher_from_scratch"
        assert names[recipe.teacher] == params[asked]
        assert {"teacher", "teacher_from_scratch"} & set(params) == {asked}
        seen.add((recipe.base is None, names[recipe.teacher]))
    assert seen == {(False, "base"), (False, "slow"), (False, "dense"), (True, "slow"), (True, "dense")}


def test_without_a_teacher_nothing_is_asked_of_distillation() -> None:
    study = load("digits", [*BOTH, "space.distillation={weight: [0, 0.5], temperature: [2, 4]}"])
    learnt = set()
    for params, recipe in drawn(study, 40):
        if recipe.base is None:
            assert recipe.distillation is None
            assert not {"distillation_weight", "temperature", "teacher", "teacher_from_scratch"} & set(params)
        learnt.add(recipe.distillation is not None)
    assert learnt == {True, False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["space.base=[base, pgd_at_20]"], "space.base.1: got 'pgd_at_20', expected 'base' or 'none'"),
        (["space.base=[none, none]"], r"space.base: got \['none', 'none'\], expected each once"),
        (["space.base=[]"], "space.base: got .*, expected at least 1 in the list"),
        (
            ["space.base=none", "space.distillation.weight=[0, 0.5]"],
            "space: distillation.teacher: got base, but no proposal starts from it, expected a baseline, or weight 0",
        ),
        (
            [
                "space.base=none",
                "space.pretraining_epochs={low: 2, high: 4}",
                "objectives=[robust_accuracy, end_to_end_flops]",
            ],
            "space: pretraining_epochs: got a range, but no proposal starts from the base",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_words(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("digits", [*SMALL, *settings])


def test_the_length_of_pretraining_is_asked_for_where_there_is_one() -> None:
    study = load(
        "digits",
        [*BOTH, "space.pretraining_epochs={low: 2, high: 4}", "objectives=[robust_accuracy, end_to_end_flops]"],
    )
    for params, recipe in drawn(study, 20):
        assert ("pretraining_epochs" in params) == (recipe.base is not None)


def test_what_is_wanted_first_may_say_where_it_starts() -> None:
    study = load("digits", [*BOTH, "first=[{base: none, epochs: 2}]"])
    check_first(study, FixedRecipes.of(study))
    candidate = sampler(study).ask(SearchState(1.0, {"robust_accuracy": 0.1}))
    assert candidate is not None
    assert candidate.recipe.base is None
    wrong = load("digits", [*BOTH, "first=[{base: slow}]"])
    with pytest.raises(InvalidInput, match=r"first.0.base: got 'slow', expected one of base, none"):
        check_first(wrong, FixedRecipes.of(wrong))


FINITE = [
    "space.compression={pruning_ratio: {low: 0, high: 0}, scope: [uniform]}",
    "space.perturbation={kind: [pgd], epsilon: {low: 0.2, high: 0.3, levels: 2}, steps: {low: 7, high: 7}}",
    "space.schedule={epochs: {low: 9, high: 9}, learning_rate: {low: 0.1, high: 0.2, levels: 2}}",
]


@pytest.mark.parametrize("kind", ["cost_aware", "tpe", "grid"])
def test_a_proposal_that_is_a_baseline_is_not_run_again(kind: str) -> None:
    # 2 epsilons × 2 rates × 2 starts; one of these, dense from scratch, is the baseline
    settings = [*BOTH, *FINITE, f"baselines=[{_PGD}]", "reference=slow", f"sampler.kind={kind}", "budget.trials=40"]
    study = load("digits", settings)
    assert planned_proposals(study, FixedRecipes.of(study)) == 7
    log = Log(study)
    for number in range(40):
        made = log.searcher.suggest(f"t{number}")
        if made == Searcher.FINISHED:
            break
        assert isinstance(made, dict)
        log.searcher.on_trial_complete(f"t{number}", done(0.01 * number, 1e9 + number))
    assert [one.role for one in log.proposals].count("proposed") == 7
    assert len({one.recipe.id for one in log.proposals}) == 9


def test_the_plan_says_where_proposals_start() -> None:
    for settings, words in (
        (SMALL, "each from the base"),
        (BOTH, "each from the base or from scratch"),
        ([*SMALL, "space.base=none"], "each from scratch"),
    ):
        study = load("digits", settings)
        assert _without_flops(study, FixedRecipes.of(study))[-1].endswith(f"recipes out of the space, {words}")


@pytest.mark.parametrize("kind", ["cost_aware", "tpe"])
def test_a_resumed_search_of_both_starts_is_the_unbroken_one(kind: str) -> None:
    study = finite("space.base=[none, base]", f"sampler={{kind: {kind}, startup_trials: 4}}", "budget.trials=8")
    curves = made(study).of(study)
    assert sum(recipe.base is None for recipe in curves) == 1 + 2 + COUNT  # base, baselines and half of the space

    def run(search: Search) -> list[tuple[str, object]]:
        while not search.over:
            search.step()
        return [(recipe, dict(params)) for recipe, params in search.proposals()]

    whole, killed = run(Search(study, curves, 2)), Search(study, curves, 2)
    for _ in range(40):
        killed.step()
    assert run(Search(study, curves, 2, list(killed.record.past.values()))) == whole
    assert {params["base"] for _, params in whole if isinstance(params, dict) and "base" in params} == {"base", "none"}


def test_a_space_of_both_starts_is_recorded_and_read_again(tmp_path: Path) -> None:
    study = finite("space.base=[base, none]", "space.compression.pruning_ratio={low: 0.5, high: 0.5, step: 0.1}")
    write(made(study), tmp_path / "both.parquet")
    assert read(str(tmp_path / "both.parquet")).of(study).keys() == made(study).of(study).keys()
