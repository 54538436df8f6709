"""Proposals that a study wants first."""

import pytest
from command import SMALL
from test_search_searcher import Log, done

from search.loading import load
from search.proposals import check_first
from trainables.errors import InvalidInput
from trainables.recipe import Recipe

FIRST = [
    *SMALL,
    "first=[{pruning_ratio: 0.7, perturbation: n_fgsm, epsilon: 0.2}, {perturbation: pgd, attack_steps: 3}]",
]


def test_what_is_wanted_first_is_proposed_first_and_the_rest_of_it_is_sampled() -> None:
    study = load("digits", FIRST)
    check_first(study)
    log = Log(study)
    for number in range(5):
        log.searcher.suggest(f"t{number}")
        log.searcher.on_trial_complete(f"t{number}", done(0.1, 1e9))
    made: list[Recipe] = []
    for number in (5, 6):
        assert isinstance(log.searcher.suggest(f"t{number}"), dict)
        made.append(log.proposals[-1].recipe)
    assert made[0].compression.model_dump()["pruning_ratio"] == 0.7
    assert made[0].perturbation.model_dump() == {"kind": "n_fgsm", "epsilon": 0.2, "warm_up": 0.0}
    assert made[1].perturbation.model_dump()["steps"] == 3
    assert 1 <= made[1].schedule.epochs <= 2


def test_what_is_not_in_the_space_is_refused_with_every_problem() -> None:
    study = load("digits", [*SMALL, "first=[{pruning_ratio: 0.95, perturbation: n_fgsm, attack_steps: 3, epochs: 1}]"])
    with pytest.raises(InvalidInput) as caught:
        check_first(study)
    ratio, steps = caught.value.problems
    assert ratio.startswith("first.0.pruning_ratio: got 0.95, expected a value of FloatDistribution")
    assert steps.startswith(
        "first.0.attack_steps: no such parameter in this proposal, expected some of epochs, epsilon"
    )
