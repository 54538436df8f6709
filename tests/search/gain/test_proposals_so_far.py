"""What a model learns from each proposal, which proposals run, and which are on the frontier."""

from collections.abc import Mapping

import numpy as np
import pytest

from search.events import Outcome
from search.gain.axes import SCORE, Axis
from search.gain.models import Models, observed
from search.gain.proposals_so_far import KnownProposal, ProposalsSoFar, final_observation
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.surrogate.gaussian_process import GaussianProcess, Observation, sampling_variance
from trainables.execution.ending import Ending, EndKind

SETTINGS = [
    "data.validation_size=100",
    "evaluation={progress_examples: 50, examples: 80}",
    "sampler.startup_trials=3",
    "constraints=['clean_accuracy >= 0.8']",
]
STUDY = load("digits", SETTINGS)
RECIPE = FixedRecipes.of(STUDY).reference.recipe
NOTHING = {"answers_one_class": 1.0}


def known(number: int = 0, scores: Mapping[float, float] | None = None) -> KnownProposal:
    recipe = RECIPE.model_copy(update={"seed": number})
    return KnownProposal(recipe, {}, {"x": number / 10}, np.full(2, np.nan), dict(scores or {}))


def outcome(kind: EndKind, **metrics: float) -> Outcome:
    return Outcome(Ending(kind), {"train_flops": 1e9} | metrics if metrics else None, 1.0)


@pytest.mark.parametrize(
    ("ended", "rung_alone", "final"),
    [
        (None, False, None),  # it runs: its latest score
        (outcome(EndKind.STOPPED), False, None),
        (outcome(EndKind.DIVERGED), True, 0.0),
        (outcome(EndKind.OVERFITTED), True, 0.0),
        (outcome(EndKind.LOST), True, None),
        (outcome(EndKind.FINISHED, robust_accuracy=0.6), True, 0.6),
        (outcome(EndKind.FINISHED, robust_accuracy=0.6, **NOTHING), True, 0.0),
    ],
)
@pytest.mark.parametrize("halving", [True, False])
def test_latest_score_score_at_the_first_rung_and_final_score_are_observed(
    ended: Outcome | None, rung_alone: bool, final: float | None, halving: bool
) -> None:
    study = load("digits", [*SETTINGS, *(["halving={grace: 0.25}"] if halving else [])])
    one = known(scores={0.5: 0.5, 0.125: 0.1, 0.25: 0.3, 1.0: 0.7})
    one.outcome = ended
    early = ([0.25] if halving else []) + ([] if rung_alone else [0.5])
    wanted = [(share, one.scores[share], sampling_variance(one.scores[share], 50)) for share in early]
    if final is not None:
        wanted.append((1.0, final, sampling_variance(final, 80) if final else 0.0))
    assert one.observations(study) == [Observation(one.features, *row) for row in wanted]


def test_a_final_score_is_of_the_images_that_there_are() -> None:
    for examples, scored in (("null", 100), ("500", 100), ("30", 30)):
        study = load("digits", [*SETTINGS, f"evaluation.examples={examples}"])
        assert final_observation({}, 0.6, study).variance == sampling_variance(0.6, scored)


def test_an_accuracy_has_its_images_variance_and_an_amount_none() -> None:
    metrics = {"robust_accuracy": 0.6, "clean_accuracy": 0.9, "device_seconds": 100.0}
    score, clean, seconds = (observed(Axis(name), {}, metrics, STUDY) for name in metrics)
    assert (score.score, score.variance) == (0.6, sampling_variance(0.6, 80))
    assert (clean.score, clean.variance) == (-0.9, sampling_variance(0.9, 80))
    assert (seconds.score, seconds.variance) == (2.0, 0.0)


def test_what_runs_is_what_has_not_ended_in_whatever_order_that_is() -> None:
    so_far, several = ProposalsSoFar(STUDY), [known(number) for number in range(4)]

    def running(*numbers: int) -> bool:
        return [one.recipe.seed for one in so_far.running()] == list(numbers)

    for one in several[:3]:
        so_far.known[one.recipe] = one
    assert running(0, 1, 2)
    so_far.end(several[1], outcome(EndKind.DIVERGED))
    assert running(0, 2)
    assert running(0, 2)
    so_far.end(several[0], outcome(EndKind.LOST))
    assert running(2)
    so_far.known[several[3].recipe] = several[3]
    assert running(2, 3)
    assert so_far.ended == [several[1]]  # the other was lost


def test_the_frontier_is_of_those_that_may_be_on_it_cheapest_first_and_of_equal_ones_the_first() -> None:
    so_far, several = ProposalsSoFar(STUDY), [known(number) for number in range(7)]

    def end(number: int, robust: float, flops: float, **more: float) -> None:
        metrics = {"robust_accuracy": robust, "train_flops": flops, "clean_accuracy": 0.9} | more
        so_far.end(several[number], outcome(EndKind.FINISHED, **metrics))

    end(0, 0.6, 1e9)
    end(1, 0.6, 1e9)
    end(2, 0.5, 1e8)
    end(3, 0.4, 1e9)
    end(4, 0.9, 1e8, clean_accuracy=0.7)
    assert [one.recipe.seed for one in so_far.frontier({})] == [2, 0]
    end(5, 0.5, 1e8)
    end(6, 0.7, 1e9)
    assert [one.recipe.seed for one in so_far.frontier({})] == [2, 6]


def test_models_begin_once_as_many_have_ended_as_the_study_says_and_know_what_runs() -> None:
    so_far, past = ProposalsSoFar(STUDY), [Observation({"x": 0.9}, 1.0, 0.2)]
    fresh, warm = Models(STUDY, so_far, {}), Models(STUDY, so_far, {SCORE: past})
    eager = Models(load("digits", ["sampler.startup_trials=1"]), so_far, {})
    ended = [outcome(EndKind.LOST), *(outcome(EndKind.FINISHED, robust_accuracy=0.2 * n) for n in (1, 2, 3))]
    enough = []
    for number, one in enumerate(ended):
        proposal = known(number)
        so_far.known[proposal.recipe] = proposal
        so_far.end(proposal, one)
        enough.append((fresh.know_enough, warm.know_enough, eager.know_enough))
    assert enough == [(False, False, False), (False, False, False), (False, True, True), (True, True, True)]
    runs = known(7, {0.5: 0.4})
    so_far.known[runs.recipe] = runs
    done = [row for one in so_far.ended for row in one.observations(STUDY)]
    model = warm.of(Axis(SCORE))
    assert model is not None
    assert model.seen == [*past, *done, *runs.observations(STUDY)]
    mean, _ = GaussianProcess([*past, *done]).predict(model.seen, [{"x": 0.3}])
    assert model.predict([{"x": 0.3}])[0] == -mean  # a cost


def test_a_constraint_that_all_satisfy_is_likely_to_be_satisfied_and_one_that_none_does_is_not() -> None:
    so_far = ProposalsSoFar(STUDY)
    study = load("digits", [*SETTINGS[:3], "constraints=['clean_accuracy >= 0.5', 'clean_accuracy >= 0.99']"])
    models, (kept, broken) = Models(study, so_far, {}), study.constraints
    assert models.probability_of_feasibility(kept, [{"x": 0.2}], {}).tolist() == [1.0]  # nothing is known yet
    for number in range(4):
        proposal = known(number)
        so_far.known[proposal.recipe] = proposal
        so_far.end(proposal, outcome(EndKind.FINISHED, robust_accuracy=0.5, clean_accuracy=0.9 + number / 100))
    assert models.probability_of_feasibility(kept, [{"x": 0.2}], {})[0] > 0.9
    assert models.probability_of_feasibility(broken, [{"x": 0.2}], {})[0] < 0.1
