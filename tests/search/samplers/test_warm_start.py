"""Warm starts: which proposals of an earlier run teach, as what, and what is refused."""

import dataclasses
import math
from pathlib import Path

import optuna
import pytest
from optuna.distributions import distribution_to_json

from analysis.run.trials import Run, Trial
from search.gain.axes import SCORE
from search.recipes.baselines import base_recipe
from search.recipes.fixed import FixedRecipes
from search.samplers.ask_and_tell import OptunaSampler
from search.samplers.cost_aware import CostAwareSampler
from search.samplers.sampler import SearchState
from search.samplers.warm_start import PastTrial, past_trials_of
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.recipes import propose
from tests.support.searcher import sampler
from trainables.errors import InvalidInput
from trainables.execution.ending import Ending, EndKind
from trainables.storage import Folder

KINDS = (EndKind.FINISHED, EndKind.DIVERGED, EndKind.LOST, EndKind.FINISHED)


def earlier(study: Study, place: Path) -> Run:
    """A run of a study with four proposals, the last of them not clean enough."""
    asked = optuna.create_study(directions=["maximize", "minimize"], sampler=optuna.samplers.RandomSampler(0))
    trials = []
    for number, kind in enumerate(KINDS):
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
                asked=None,
                ending=Ending(kind),
                order=number,
                started=None,
                ended=None,
                seconds=1.0,
                metrics=metrics if kind is EndKind.FINISHED else {},
                history=(),
                robust_correct=None,
            )
        )
    info = {"evaluation": study.protocol.model_dump(), "base": base_recipe(study).id}
    return Run(Folder(str(place)), info, tuple(trials), ())


def taught(runs: list[Run], study: Study, said: list[str] | None = None) -> list[PastTrial]:
    """What a study learns from earlier runs; `said` collects what a reader is told."""
    return past_trials_of(runs, study, FixedRecipes.of(study), (lambda _: None) if said is None else said.append)


def test_what_was_finished_or_pruned_teaches(tmp_path: Path) -> None:
    study = load("digits", [*SMALL, "sampler.kind=tpe"])
    past_trials = taught([earlier(study, tmp_path)], study)
    assert [(lesson["state"], lesson["values"]) for lesson in past_trials] == [
        ("complete", [0.0, 1e9]),
        ("pruned", None),
        ("complete", [pytest.approx(0.3), 1e9]),
    ]
    told = sampler(study, past_trials=past_trials)
    assert isinstance(told, OptunaSampler)
    known = told.optuna.get_trials()
    assert [trial.params for trial in known] == [lesson["params"] for lesson in past_trials]
    assert [trial.state.name for trial in known] == ["COMPLETE", "PRUNED", "COMPLETE"]


def test_what_breaks_a_constraint_counts_as_pruned(tmp_path: Path) -> None:
    study = load("digits", [*SMALL, "constraints=['clean_accuracy >= 0.8']"])
    states = [lesson["state"] for lesson in taught([earlier(study, tmp_path)], study)]
    assert states == ["complete", "pruned", "pruned"]


def test_the_sampler_learns_from_them(tmp_path: Path) -> None:
    study = load("digits", [*SMALL, "sampler.startup_trials=2"])
    past_trials = taught([earlier(study, tmp_path)], study)

    def first(*, warm: bool) -> object:
        candidate = sampler(study, past_trials=past_trials if warm else ()).ask(
            SearchState(0.0, {"robust_accuracy": 0.0})
        )
        assert candidate is not None
        return candidate.params

    assert first(warm=True) == first(warm=True)
    assert first(warm=True) != first(warm=False)


def test_another_base_or_protocol_is_refused(tmp_path: Path) -> None:
    study = load("digits", SMALL)
    run = earlier(study, tmp_path)
    with pytest.raises(InvalidInput, match="no proposal of it starts from this study's base"):
        taught([run], load("digits", [*SMALL, "pretraining.epochs=4"]))
    other = dataclasses.replace(run, info=run.info | {"evaluation": {}})
    with pytest.raises(InvalidInput, match=r"was scored otherwise \(norm was None, here linf, "):
        taught([other], study)


def test_a_study_that_trains_from_scratch_too_learns_from_both_starts(tmp_path: Path) -> None:
    both, none = load("digits", [*SMALL, "space.base=[base, none]"]), load("digits", [*SMALL, "space.base=none"])
    based = load("digits", SMALL)
    for old, new, starts in ((based, both, ["base"] * 3), (none, both, ["none"] * 3)):
        past_trials = taught([earlier(old, tmp_path)], new)
        assert [past["params"]["base"] for past in past_trials] == starts
        told = sampler(load("digits", [*SMALL, "space.base=[base, none]", "sampler.kind=tpe"]), past_trials=past_trials)
        assert isinstance(told, OptunaSampler)
        assert [trial.params["base"] for trial in told.optuna.get_trials()] == starts
    assert all("base" not in past["params"] for past in taught([earlier(none, tmp_path)], none))
    with pytest.raises(InvalidInput, match=r"no proposal of it starts from this study's base$"):
        taught([earlier(none, tmp_path)], based)
    with pytest.raises(InvalidInput, match=r"no proposal of it starts from scratch with its data and network$"):
        taught([earlier(based, tmp_path)], none)


def test_what_the_earlier_study_held_fixed_is_learnt_as_what_it_was(tmp_path: Path) -> None:
    now = load("digits", [*SMALL, "space.schedule.weight_decay={low: 1e-5, high: 1e-2}"])
    past_trials = taught([earlier(load("digits", SMALL), tmp_path)], now)
    assert [past["params"]["weight_decay"] for past in past_trials] == [5e-4] * 3
    learnt = CostAwareSampler(now, FixedRecipes.of(now), lambda _: {"train_flops": 1.0}, past_trials)._past[SCORE]
    share = math.log(50) / math.log(1000)
    assert [one.features["weight_decay"] for one in learnt] == pytest.approx([share] * len(learnt))


@pytest.mark.parametrize("kind", ["cost_aware", "tpe"])
def test_what_the_space_does_not_hold_is_left_out_and_said(kind: str, tmp_path: Path) -> None:
    long = "space.schedule.epochs={low: 3, high: 4}"  # else recipes take fewer steps than were chosen
    wide = load("digits", [*SMALL, long, "space.compression.steps=[1, 2, 3]"])
    narrow = load(
        "digits", [*SMALL, long, "space.compression.steps=[1, 2]", f"sampler.kind={kind}", "sampler.startup_trials=1"]
    )
    run = earlier(wide, tmp_path)
    steps = [trial.params.get("pruning_steps") for trial in run.trials]
    assert steps == [3, 3, 1, 1]  # the third was lost
    said: list[str] = []
    past_trials = taught([run], narrow, said)
    assert all(past["params"].get("pruning_steps") != 3 for past in past_trials)
    assert said == [f"{tmp_path}: 2 of its proposals lie outside of this study's space, and teach nothing"]
    assert sampler(narrow, past_trials=past_trials).ask(SearchState(0.0, {"robust_accuracy": 0.0})) is not None
    with pytest.raises(InvalidInput, match="no proposal of it that starts so lies in this study's space"):
        taught([run], load("digits", [*SMALL, "space.perturbation.epsilon={low: 0.3, high: 0.4}"]))
