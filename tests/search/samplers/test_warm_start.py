"""Warm starts: which proposals of an earlier run teach, as what, and what is refused."""

import dataclasses
from pathlib import Path

import optuna
import pytest
from optuna.distributions import distribution_to_json

from analysis.run.trials import Run, State, Trial
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.running.searcher import ParetoSearcher
from search.samplers.ask_and_tell import Proposer
from search.samplers.warm_start import lessons
from search.study.loading import load
from search.study.study import Study
from tests.search.running.test_searcher import planned
from tests.support.command import SMALL
from tests.support.recipes import propose
from trainables.errors import InvalidInput
from trainables.storage import Folder

STATES = (State.COMPLETE, State.PRUNED, State.FAIL, State.COMPLETE)


def earlier(study: Study, place: Path) -> Run:
    """A run of a study with four proposals, the last of them not clean enough."""
    asked = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    trials = []
    for number, state in enumerate(STATES):
        trial = asked.ask()
        recipe = propose(trial, study)
        clean = 0.5 if number == 3 else 0.9
        metrics = {"robust_accuracy": 0.1 * number, "train_flops": 1e9, "clean_accuracy": clean}
        trials.append(
            Trial(
                id=recipe.id,
                role="proposed",
                name=None,
                number=number,
                params=trial.params,
                distributions={name: distribution_to_json(one) for name, one in trial.distributions.items()},
                recipe=recipe.model_dump(mode="json"),
                state=state,
                reason=None,
                order=number,
                started=None,
                ended=None,
                seconds=1.0,
                metrics=metrics if state is State.COMPLETE else {},
                history=(),
                robust_correct=None,
            )
        )
    info = {"evaluation": study.protocol.model_dump(), "base": base_recipe(study).id}
    return Run(Folder(str(place)), info, tuple(trials), ())


def test_what_was_finished_or_pruned_teaches(tmp_path: Path) -> None:
    study = load("digits", SMALL)
    learnt = lessons([earlier(study, tmp_path)], study, FixedRecipes.of(study))
    assert [(lesson["state"], lesson["values"]) for lesson in learnt] == [
        ("complete", [0.0, 1e9]),
        ("pruned", None),
        ("complete", [pytest.approx(0.3), 1e9]),
    ]
    searcher = ParetoSearcher(study, FixedRecipes.of(study), [], learnt=learnt, planned=planned)
    known = searcher._proposer.optuna.get_trials()
    assert [trial.params for trial in known] == [lesson["params"] for lesson in learnt]
    assert [trial.state.name for trial in known] == ["COMPLETE", "PRUNED", "COMPLETE"]


def test_what_breaks_a_constraint_counts_as_pruned(tmp_path: Path) -> None:
    study = load("digits", [*SMALL, "constraints=['clean_accuracy >= 0.8']"])
    states = [lesson["state"] for lesson in lessons([earlier(study, tmp_path)], study, FixedRecipes.of(study))]
    assert states == ["complete", "pruned", "pruned"]


def test_the_sampler_learns_from_them(tmp_path: Path) -> None:
    study = load("digits", [*SMALL, "sampler.startup_trials=2"])
    learnt = lessons([earlier(study, tmp_path)], study, FixedRecipes.of(study))

    def first(*, warm: bool) -> object:
        return (
            Proposer(study, FixedRecipes.of(study), learnt if warm else (), planned)
            .ask(1.0, {"robust_accuracy": 0.0})[1]
            .params
        )

    assert first(warm=True) == first(warm=True)
    assert first(warm=True) != first(warm=False)


def test_another_base_or_protocol_is_refused(tmp_path: Path) -> None:
    study = load("digits", SMALL)
    run = earlier(study, tmp_path)
    with pytest.raises(InvalidInput, match="no proposal of it starts from this study's base"):
        lessons(
            [run],
            load("digits", [*SMALL, "pretraining.epochs=4"]),
            FixedRecipes.of(load("digits", [*SMALL, "pretraining.epochs=4"])),
        )
    other = dataclasses.replace(run, info=run.info | {"evaluation": {}})
    with pytest.raises(InvalidInput, match="was scored otherwise than this study"):
        lessons([other], study, FixedRecipes.of(study))
