"""Searching how long to pretrain: which bases run, once each and when, and what a study may say."""

import pytest
from optuna.trial import TrialState
from ray.tune.search import Searcher

from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from tests.search.running.test_searcher import Log, done
from tests.support.command import SMALL
from trainables.errors import InvalidInput

_PGD = "{name: slow, perturbation: {kind: pgd, epsilon: 0.2, steps: 7}, schedule: {epochs: 9, learning_rate: 0.1}}"
LENGTHS = [
    *SMALL,
    f"baselines=[{_PGD}]",
    "reference=slow",
    "objectives=[robust_accuracy, end_to_end_flops]",
    "space.pretraining_epochs={low: 2, high: 4}",
    "budget.trials=12",
]
RESULT = {"metrics/end_to_end_flops": 1e9}


def test_every_length_is_trained_once_before_what_starts_from_it() -> None:
    log = Log(load("digits", LENGTHS))
    suggest, complete = log.searcher.suggest, log.searcher.on_trial_complete
    done_ids: set[str] = set()
    for _ in range(40):  # one at a time
        made = suggest(f"t{len(log.proposals)}")
        if made == Searcher.FINISHED:
            break
        assert isinstance(made, dict)
        recipe = log.proposals[-1].recipe
        assert recipe.base is None or recipe.base.id in done_ids
        done_ids.add(recipe.id)
        complete(f"t{len(log.proposals) - 1}", done(0.5, 1e9) | RESULT)
    bases = [proposal for proposal in log.proposals if proposal.role == "base"]
    proposed = [proposal for proposal in log.proposals if proposal.role == "proposed"]
    assert len(proposed) == 12
    assert len({proposal.recipe.id for proposal in bases}) == len(bases) == 3
    assert {proposal.recipe.schedule.epochs for proposal in bases} == {2, 3, 4}
    assert {proposal.name for proposal in bases} == {"base", "base.2epochs", "base.4epochs"}  # 3 is the study's own
    for proposal in proposed:
        assert proposal.recipe.base is not None
        assert proposal.recipe.base.schedule.epochs == proposal.params["pretraining_epochs"]
        assert proposal.recipe.base.is_ordinary_pretraining


def test_a_length_whose_pretraining_is_lost_is_proposed_no_more() -> None:
    log = Log(load("digits", LENGTHS))
    for number in range(60):
        made = log.searcher.suggest(f"t{number}")
        if made == Searcher.FINISHED:
            break
        assert isinstance(made, dict)
        proposal = log.proposals[-1]
        lost = proposal.name == "base.2epochs"
        log.searcher.on_trial_complete(f"t{number}", None if lost else done(0.5, 1e9) | RESULT, error=lost)
    proposed = [proposal for proposal in log.proposals if proposal.role == "proposed"]
    assert len(proposed) == 12
    assert {proposal.params["pretraining_epochs"] for proposal in proposed} == {3, 4}
    states = [
        trial.state for trial in log.searcher._proposer.optuna.get_trials() if trial.params["pretraining_epochs"] == 2
    ]
    assert states
    assert set(states) == {TrialState.FAIL}


def test_bases_of_every_length_are_kept_and_teach_where_the_base_does() -> None:
    study = load("digits", LENGTHS)
    ids = {base.id for base in FixedRecipes.of(study).searched_bases}
    assert base_recipe(study).id in ids
    assert len(ids) == 3
    assert FixedRecipes.of(study).parents >= ids
    assert FixedRecipes.of(study).teachers == frozenset()
    assert FixedRecipes.of(load("digits", [*LENGTHS, "space.distillation={weight: [0.5]}"])).teachers == ids
    assert len(FixedRecipes.of(load("digits", SMALL)).searched_bases) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["objectives=[robust_accuracy, train_flops]"],
            "pretraining counts in no objective; expected end_to_end_flops",
        ),
        (["space.pretraining_epochs={low: 0, high: 3}"], "space.pretraining_epochs.low: got 0, expected a number >= 1"),
        (["space.pretraining_epochs={low: 4, high: 3}"], "expected low <= high"),
    ],
)
def test_what_does_not_fit_is_said(settings: list[str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        load("digits", [*LENGTHS, *settings])
