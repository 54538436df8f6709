"""The model of the time that a trial takes."""

import numpy as np
import pytest

from search.events import Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from search.surrogate.time_model import TimeModel
from tests.support.command import SMALL
from trainables.execution.ending import FINISHED, Ending, EndKind

RECIPE = FixedRecipes.of(load("digits", SMALL)).base.recipe


def told(
    model: TimeModel, epochs: int, flops: float, seconds: float, ending: Ending = FINISHED, *, base: bool = False
) -> None:
    proposal = Proposal(RECIPE, "base" if base else "proposed", None, 0)
    spent = {"train_flops": 0.0, "end_to_end_flops": flops} if base else {"train_flops": flops}
    model.reported(proposal, {"epoch": epochs, **spent})
    model.ended(proposal, Outcome(ending, None, seconds))


def took(epochs: int, flops: float) -> float:
    return 2.0 + 0.5 * epochs + flops / 1e10


def predicted(model: TimeModel, epochs: int, flops: float) -> float:
    seconds = model.seconds(np.array([float(epochs)]), np.array([flops]))
    assert seconds is not None
    return float(seconds[0])


def test_nothing_is_known_before_a_trial_has_ended() -> None:
    model = TimeModel()
    model.reported(Proposal(RECIPE, "proposed", None, 0), {"epoch": 1, "train_flops": 1e9})
    assert model.seconds(np.ones(1), np.ones(1)) is None


def test_one_trial_says_a_third_for_each_part() -> None:
    model = TimeModel()
    told(model, epochs=4, flops=1e10, seconds=12.0)
    assert predicted(model, 4, 1e10) == pytest.approx(12.0)
    assert predicted(model, 8, 1e10) == pytest.approx(16.0)
    assert predicted(model, 4, 4e10) == pytest.approx(24.0)


def test_the_base_counts_with_the_flops_that_it_spent_itself() -> None:
    model = TimeModel()
    told(model, epochs=4, flops=1e10, seconds=12.0, base=True)
    assert predicted(model, 4, 4e10) == pytest.approx(24.0)


def test_what_a_recipe_inherits_took_none_of_its_time() -> None:
    model, flops = TimeModel(), [10.0**power for power in (9, 9.5, 10, 10.5, 11, 11.5)]
    for one in flops:
        told(model, 5, one, took(5, one))
    before = predicted(model, 5, 1e12)
    row = {"epoch": 5, "train_flops": 1.2e12 + 1e9, "flops_ancestors": 1.2e12}
    model.reported(Proposal(RECIPE, "baseline", "robust_then_pruned", 7), row)
    model.ended(Proposal(RECIPE, "baseline", "robust_then_pruned", 7), Outcome(FINISHED, None, took(5, 1e9)))
    assert predicted(model, 5, 1e12) == pytest.approx(before, rel=0.02)


def test_start_epochs_and_flops_are_told_apart() -> None:
    model, rng = TimeModel(), np.random.default_rng(0)
    for _ in range(40):
        epochs, flops = int(rng.integers(1, 20)), float(10 ** rng.uniform(9, 12))
        told(model, epochs, flops, took(epochs, flops))
    for epochs, flops in ((1, 1e9), (20, 1e9), (5, 1e12)):
        assert predicted(model, epochs, flops) == pytest.approx(took(epochs, flops), rel=0.05)


def test_a_trial_on_a_busy_machine_hardly_counts_and_a_lost_one_does_not() -> None:
    model = TimeModel()
    for epochs in range(1, 9):
        told(model, epochs, 1e10 * epochs, took(epochs, 1e10 * epochs))
    before = predicted(model, 5, 5e10)
    told(model, 5, 5e10, 1000.0, Ending(EndKind.LOST, "gone"))
    assert predicted(model, 5, 5e10) == before
    told(model, 5, 5e10, 1000.0)
    assert predicted(model, 5, 5e10) == pytest.approx(before, rel=0.2)
