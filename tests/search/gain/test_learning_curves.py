"""What a recipe that trains will come to, by what those that have finished came to."""

import pytest

from search.events import Outcome, Proposal
from search.gain import learning_curves
from search.gain.learning_curves import LearningCurves
from search.recipes.fixed import FixedRecipes
from search.study.loading import load
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.models.config import Weights
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule

PLAIN = FixedRecipes.of(load("digits")).reference.recipe


def recipe(epochs: int, seed: int = 0) -> Recipe:
    schedule = Schedule(epochs=epochs, learning_rate=0.1)
    return PLAIN.model_copy(update={"schedule": schedule, "seed": seed})


def report(curves: LearningCurves, one: Recipe, *scores: float | None) -> None:
    for epoch, score in enumerate(scores, start=1):
        curves.reported(Proposal(one, "proposed", None, 0), {"epoch": epoch, "robust_accuracy": score})


def end(curves: LearningCurves, one: Recipe, final: float | None, **more: float) -> None:
    outcome = (
        Outcome(Ending(EndKind.DIVERGED, "diverged"), None, 1.0)
        if final is None
        else Outcome(FINISHED, {"robust_accuracy": final, **more}, 1.0)
    )
    curves.ended(Proposal(one, "proposed", None, 0), outcome)


def test_it_is_expected_to_gain_what_others_gained_from_the_same_share_of_their_schedule_on() -> None:
    curves, reference = LearningCurves(), recipe(20)
    assert curves.predicted(reference) is None
    report(curves, reference, 0.1, None, 0.3, 0.2, 0.25)  # a quarter of its schedule; the best until then is 0.3
    assert curves.predicted(reference) == 0.3  # nothing has finished
    report(curves, recipe(4, 1), 0.2, 0.3, 0.4, 0.4)
    end(curves, recipe(4, 1), 0.5)
    assert curves.predicted(reference) == pytest.approx(0.3 + 0.3)
    report(curves, recipe(8, 2), 0.1, 0.4, 0.3, 0.4)  # a quarter is its second epoch
    end(curves, recipe(8, 2), 0.8)
    report(curves, recipe(2, 3), 0.2, 0.6)  # its first epoch stands for what is before it
    end(curves, recipe(2, 3), 0.6)
    assert curves.predicted(reference) == pytest.approx(0.3 + 0.4)  # the median of .3, .4 and .4


def test_what_learnt_nothing_or_did_not_finish_says_nothing() -> None:
    curves, reference = LearningCurves(), recipe(4)
    report(curves, reference, 0.2)
    report(curves, recipe(2, 1), 0.1, 0.1)
    level = {"chance_accuracy": 0.1, "chance_accuracy_stderr": 0.03, "answers_one_class": 1, "clean_accuracy": 0.1}
    end(curves, recipe(2, 1), 0.4, **level)
    report(curves, recipe(2, 2), 0.1, 0.1)
    end(curves, recipe(2, 2), None)
    end(curves, recipe(2, 4), 0.9)  # reported no epoch
    assert curves.predicted(reference) == 0.2


def test_of_many_that_finished_the_newest_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning_curves, "COMPARED", 2)
    curves, reference = LearningCurves(), recipe(4)
    report(curves, reference, 0.2)
    for seed, final in enumerate((0.9, 0.9, 0.3, 0.3), start=1):
        report(curves, recipe(4, seed), 0.2)
        end(curves, recipe(4, seed), final)
    assert curves.predicted(reference) == pytest.approx(0.3)


def test_no_network_is_expected_to_be_right_more_than_always() -> None:
    curves, reference = LearningCurves(), recipe(4)
    report(curves, reference, 0.5)
    report(curves, recipe(4, 1), 0.1, 0.9)
    end(curves, recipe(4, 1), 0.8)
    assert curves.predicted(reference) == 1.0


def test_a_base_that_is_a_file_of_weights_has_no_curve() -> None:
    curves = LearningCurves()
    base = recipe(0).model_copy(update={"weights": Weights(path="base.safetensors")})
    curves.reported(Proposal(base, "base", "base", 0), {"epoch": 0, "robust_accuracy": 0.1})
    end(curves, base, 0.1)
    assert curves.predicted(base) is None


def test_epochs_that_are_run_again_count_as_they_went_the_second_time() -> None:
    """A trial whose process was lost goes on from its checkpoint, which may lie before what it had reported."""
    curves, reference, other = LearningCurves(), recipe(8), recipe(4, 1)
    report(curves, other, 0.2, 0.3, 0.9)
    for epoch, score in ((2, 0.4), (3, 0.4), (4, 0.5)):
        curves.reported(Proposal(other, "proposed", None, 0), {"epoch": epoch, "robust_accuracy": score})
    end(curves, other, 0.5)
    report(curves, reference, 0.1, 0.1, 0.1, 0.2)  # a half, at which the other had 0.4
    assert curves.predicted(reference) == pytest.approx(0.2 + 0.1)
