"""What runs is drawn: the draws have the model's moments, and candidates know what is drawn of those beside them."""

import numpy as np
import pytest
from optuna.trial import FixedTrial

from search.events import Outcome, Proposal
from search.gain.pending import DRAWS, drawn, normal_numbers
from search.recipes.fixed import FixedRecipes
from search.samplers.sampler import SearchState
from tests.support.made_recordings import accuracy, finite, flops
from tests.support.recipes import combinations, propose
from tests.support.searcher import sampler
from trainables.execution.ending import FINISHED

MEAN = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
ROOT = np.array([[2, 0, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [1, 0, 0.5, 1, 0], [0.5, 1, 0, 1, 1]])
COVARIANCE = ROOT @ ROOT.T


def test_draws_have_the_moments_of_the_predictions() -> None:
    numbers = np.random.default_rng(0).normal(size=(100_000, 2))
    pending = drawn(MEAN, COVARIANCE, 2, numbers)
    assert pending.running.mean(axis=0) == pytest.approx(MEAN[3:], abs=0.02)
    assert np.cov(pending.running.T) == pytest.approx(COVARIANCE[3:, 3:], abs=0.06)
    assert pending.mean.mean(axis=0) == pytest.approx(MEAN[:3], abs=0.02)
    # Variance is what the draws tell, and what they leave.
    whole = pending.mean.var(axis=0) + np.square(pending.deviation)
    assert whole == pytest.approx(np.diag(COVARIANCE)[:3], rel=0.02)


def test_a_candidate_is_conditioned_as_a_normal_distribution_is() -> None:
    pending = drawn(MEAN, COVARIANCE, 2, np.array([[0.7, -1.2]]))
    across, own = COVARIANCE[:3, 3:], COVARIANCE[3:, 3:]
    expected = MEAN[:3] + across @ np.linalg.solve(own, pending.running[0] - MEAN[3:])
    assert pending.mean[0] == pytest.approx(expected, abs=1e-6)
    left = COVARIANCE[:3, :3] - across @ np.linalg.solve(own, across.T)
    assert np.square(pending.deviation) == pytest.approx(np.diag(left), abs=1e-6)


def test_the_same_recipe_comes_to_what_was_drawn_and_an_unrelated_one_to_anything() -> None:
    covariance = np.array([[1.0, 0.0, 1.0], [0.0, 4.0, 0.0], [1.0, 0.0, 1.0]])
    pending = drawn(np.zeros(3), covariance, 1, normal_numbers(1))
    assert pending.mean[:, 0] == pytest.approx(pending.running[:, 0], abs=1e-6)
    assert pending.mean[:, 1] == pytest.approx(0.0)
    assert pending.deviation == pytest.approx([0.0, 2.0], abs=1e-4)


def test_numbers_are_the_same_each_time_and_spread_evenly() -> None:
    numbers = normal_numbers(64)
    assert numbers.shape == (DRAWS, 64)
    assert (numbers == normal_numbers(64)).all()
    assert numbers.mean() == pytest.approx(0.0, abs=0.05)
    assert numbers.std() == pytest.approx(1.0, abs=0.05)
    assert (np.abs(numbers).max(axis=0) > 1).all()  # every running proposal is drawn high or low in some


def test_beside_a_recipe_that_runs_others_than_its_like_are_proposed() -> None:
    """As many proposals as there are workers, none of which has ended: the whole frontier is sought, not one spot."""
    study = finite("sampler.kind=cost_aware", "sampler.startup_trials=6")

    def proposed(beside: bool) -> list[float]:
        asked = sampler(study, cost=lambda recipe: {"train_flops": costs[recipe.id]})
        for number, params in enumerate(list(combinations(study))[::24]):
            proposal = Proposal(propose(FixedTrial(dict(params)), study), "proposed", None, number, params)
            asked.restore(proposal)
            metrics = {"robust_accuracy": accuracy(params), "train_flops": flops(params)}
            asked.ended(proposal, Outcome(FINISHED, metrics, 1.0))
        decades = []
        for _ in range(8):
            candidate = asked.ask(SearchState(0.0, {"robust_accuracy": 0.05}))
            assert candidate is not None
            if beside:
                asked.accept(candidate)
            decades.append(float(np.log10(candidate.flops)))
        return decades

    costs = {propose(FixedTrial(dict(params)), study).id: flops(params) for params in combinations(study)}
    costs |= {one.recipe.id: 8e11 for one in FixedRecipes.of(study)}
    assert np.ptp(proposed(beside=True)) > 2 * np.ptp(proposed(beside=False))
