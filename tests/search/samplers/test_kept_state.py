"""What is kept from one decision to the next saves time and changes no decision."""

from types import SimpleNamespace
from typing import cast

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution

from search.events import Asked, Outcome, Proposal
from search.halving.judge import Judge
from search.recipes.choosers import RandomChooser
from search.samplers.optuna_samplers import optuna_sampler
from search.samplers.sampler import SearchState
from search.study.algorithms import Halving
from search.study.loading import changed, load
from tests.support.recipes import propose
from tests.support.searcher import sampler
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.recipe.recipe import Recipe


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(
    ("kind", "theirs"), [("nsga2", optuna.samplers.NSGAIISampler), ("nsga3", optuna.samplers.NSGAIIISampler)]
)
def test_evolution_crosses_what_optuna_would(kind: str, theirs: type[optuna.samplers.NSGAIISampler]) -> None:
    study = load("digits", [f"sampler={{kind: {kind}, population: 4}}"])
    shared = optuna.search_space.IntersectionSearchSpace()
    ours = optuna.create_study(directions=["maximize", "minimize"])
    plain = optuna.create_study(directions=["maximize", "minimize"])
    for ask in range(24):
        ours.sampler, plain.sampler = optuna_sampler(study, ask, shared), theirs(population_size=4, seed=ask)
        made = []
        for asked in (ours, plain):
            parameters = {"x": FloatDistribution(0, 1), "kind": CategoricalDistribution(["a", "b"])}
            trial = asked.ask({**parameters, "single": FloatDistribution(1, 1)})
            if trial.params["kind"] == "b":  # only some have it
                trial.suggest_float("y", 0, 1)
            made.append(trial.params)
            asked.tell(trial, [trial.params["x"], -(trial.params["x"] ** 2)])
        assert made[0] == made[1]


def test_what_a_sequence_cannot_draw_is_drawn_anew_for_each_proposal() -> None:
    """The steps of an attack that the first proposal had not; one of eight numbers for sixteen proposals is chance."""
    settings = ["sampler.kind=quasi_random", "space.perturbation.kind=[n_fgsm, pgd]"]
    for seed in range(3):
        asked, steps = sampler(load("digits", [*settings, f"seed={seed}"])), []
        for _ in range(32):
            candidate = asked.ask(SearchState(1.0, {}))
            assert candidate is not None
            asked.accept(candidate)
            steps += [candidate.params["attack_steps"]] if "attack_steps" in candidate.params else []
        assert len(set(steps)) > 2


@pytest.mark.parametrize("kind", ["tpe", "cost_aware", "random", "grid"])
def test_a_range_that_steps_do_not_divide_is_proposed_from_without_a_warning(kind: str) -> None:
    levels = "space.compression.pruning_ratio={low: 0.2, high: 0.75, step: 0.2}"
    finite = "={low: 0.01, high: 0.1, levels: 2}"
    rest = [f"space.{name}{finite}" for name in ("perturbation.epsilon", "schedule.learning_rate")]
    asked = sampler(changed(load("digits"), [levels, *rest, f"sampler.kind={kind}"]), cost=_flops)
    candidate = asked.ask(SearchState(0.5, {}))
    assert candidate is not None
    assert candidate.params["pruning_ratio"] in (0.2, 0.4, 0.6)


def test_a_cost_aware_sampler_proposes_alike_however_often_it_was_asked() -> None:
    study = load("digits", ["sampler.startup_trials=4", "constraints=['clean_accuracy >= 0.8']", "halving={}"])
    rng, state = np.random.default_rng(0), SearchState(0.5, {"robust_accuracy": 0.1, "clean_accuracy": 0.95})
    often, once = sampler(study, cost=_flops), sampler(study, cost=_flops)
    for number in range(12):
        draw = RandomChooser(rng)
        recipe = propose(draw, study)
        proposal = Proposal(recipe, "proposed", None, number, draw.params, {}, Asked(64 * number, number))
        robust, clean = float(rng.random()), float(rng.uniform(0.7, 1.0))
        metrics = {"robust_accuracy": robust, "clean_accuracy": clean, **_flops(recipe)}
        outcome = Outcome(FINISHED, metrics, 1.0)
        if number % 4 == 3:
            outcome = Outcome(Ending(EndKind.STOPPED, "stopped at 25% of its schedule"), None, 1.0)
        for one in (often, once):
            one.restore(proposal)
            one.reported(proposal, {"epoch": recipe.schedule.epochs // 2, "robust_accuracy": robust / 2})
            if one is often and number < 11:
                one.ask(state)  # neither accepted nor refused: the next proposal of the record has its own number
            one.ended(proposal, outcome)
    assert often.ask(state) == once.ask(state)


def test_a_rung_loses_trust_as_soon_as_the_last_word_is_in() -> None:
    halving = Halving(grace=0.5, reduction_factor=2.0, trusted=0.9, trusted_after=3)

    def row(score: float) -> dict[str, float]:
        return {"epoch": 2, "robust_accuracy": score, "planned_train_flops": 1.0}

    def ended(number: int) -> Proposal:
        return Proposal(cast(Recipe, SimpleNamespace(id=str(number))), "proposed", None, number)

    judge = Judge(halving, ("robust_accuracy", "train_flops"))
    for number, score in enumerate((0.1, 0.2, 0.3)):
        judge.report(str(number), number, 4, row(score))
    assert judge.report("worse", 3, 4, row(0.05)) is not None
    for number, final in enumerate((0.9, 0.5)):
        judge.ended(ended(number), Outcome(FINISHED, {"robust_accuracy": final}, 1.0))
    assert judge.report("bad", 4, 4, row(0.04)) is not None  # two have finished: too few to tell
    judge.ended(ended(2), Outcome(FINISHED, {"robust_accuracy": 0.1}, 1.0))
    assert judge.report("worst", 5, 4, row(0.03)) is None  # the other way round than the rung foretold


def _flops(recipe: Recipe) -> dict[str, float]:
    return {"train_flops": 1e9 * recipe.schedule.epochs}
