"""The cost-aware sampler with objectives beside robust accuracy and compute: planned ones, and modelled ones."""

import numpy as np
import pytest
from optuna.trial import FixedTrial

from search.events import Outcome, Proposal
from search.gain.axes import axes_of, costs_of
from search.gain.undominated import Undominated
from search.recipes.fixed import FixedRecipes
from search.samplers.sampler import SearchState
from search.samplers.warm_start import PastTrial
from search.simulation.driver import simulate
from search.simulation.recording import read
from search.simulation.virtual_cluster import VirtualCluster
from search.study.algorithms import Budget, Sampler
from search.study.loading import load
from search.study.study import Study
from tests.support.made_recordings import finite
from tests.support.recipes import combinations, propose
from tests.support.searcher import sampler
from trainables.execution.ending import FINISHED
from trainables.recipe.recipe import Recipe


@pytest.mark.parametrize(
    "objectives",
    [
        "[robust_accuracy, train_flops, model_bytes]",
        "[robust_accuracy, end_to_end_flops, train_flops]",
        "[robust_accuracy, train_flops, clean_accuracy, device_seconds, inference_macs]",
    ],
)
def test_it_is_the_default_whatever_the_objectives_are(objectives: str) -> None:
    study = load("digits", [f"objectives={objectives}"])
    assert study.sampler.kind == "cost_aware"
    assert load("digits", [f"objectives={objectives}", "sampler.kind=cost_aware"]) == study


def recorded(source: str, *objectives: str, kind: str = "cost_aware", seed: int = 0, trials: int = 30) -> Study:
    return read(source).study.model_copy(
        update={"objectives": objectives, "sampler": Sampler(kind=kind), "budget": Budget(trials=trials), "seed": seed}
    )


def found(source: str, study: Study, *, workers: int = 1) -> float:
    """Hypervolume over all objectives of what a search finds."""
    curves, axes, fixed = read(source).of(study), axes_of(study), FixedRecipes.of(study)
    reference = curves[fixed.reference.recipe].metrics
    left = Undominated(np.array([axis.worst(reference[axis.metric]) for axis in axes]))
    for ending in simulate(study, curves, VirtualCluster(decision=0.0, workers=workers)).endings:
        if ending.proposal.role == "proposed" and ending.outcome.metrics:
            left.add([costs_of(axes, ending.outcome.metrics)])
    return left.dominated()


@pytest.mark.slow
def test_it_finds_more_than_random_proposals_in_three_objectives() -> None:
    objectives = ("robust_accuracy", "train_flops", "inference_macs")
    ours, drawn = (
        [found("digits", recorded("digits", *objectives, kind=kind, seed=seed)) for seed in range(4)]
        for kind in ("cost_aware", "random")
    )
    assert np.mean(ours) > 1.5 * np.mean(drawn)


def test_modelled_objectives_search_to_the_end_beside_several_workers() -> None:
    study = recorded("digits", "robust_accuracy", "train_flops", "clean_accuracy", "device_seconds", trials=14)
    assert found("digits", study, workers=3) >= 0
    assert found("digits", study, workers=3) == found("digits", study, workers=3)  # a function of what it is told


def test_what_a_third_objective_favours_is_proposed_where_two_would_not_care() -> None:
    """All recipes cost the same FLOPs and are as robust: only bytes tell them apart."""
    study = finite("sampler.startup_trials=4", "objectives=[robust_accuracy, train_flops, model_bytes]")

    def planned(recipe: Recipe) -> dict[str, float]:
        return {"train_flops": 1e9, "model_bytes": 1e4 * (1 - getattr(recipe.compression, "pruning_ratio", 0.0))}

    asked = sampler(study, cost=planned)
    for number, params in enumerate([one for one in combinations(study) if one["pruning_ratio"] == 0.2][::6]):
        recipe = propose(FixedTrial(dict(params)), study)
        proposal = Proposal(recipe, "proposed", None, number, params)
        asked.restore(proposal)
        asked.ended(proposal, Outcome(FINISHED, {"robust_accuracy": 0.6, **planned(recipe)}, 1.0))
    chosen = asked.ask(SearchState(0.0, {"robust_accuracy": 0.05}))
    assert chosen is not None
    assert chosen.params["pruning_ratio"] == 0.8
    assert chosen.planned == planned(chosen.recipe)


def test_earlier_runs_teach_every_modelled_objective() -> None:
    """Clean accuracy was low where much was pruned, and robust accuracy the same everywhere."""
    study = finite("sampler.startup_trials=4", "objectives=[robust_accuracy, train_flops, clean_accuracy]")
    past: list[PastTrial] = [
        {
            "state": "complete",
            "params": params,
            "distributions": {},
            "values": [0.6, 1e9, 0.9 - params["pruning_ratio"] / 2],
        }
        for params in list(combinations(study))[::7]
    ]
    asked = sampler(study, cost=lambda recipe: {"train_flops": 1e9}, past_trials=past)
    chosen = asked.ask(SearchState(0.0, {"robust_accuracy": 0.05, "clean_accuracy": 0.95}))
    assert chosen is not None
    assert chosen.params["pruning_ratio"] == 0.2
