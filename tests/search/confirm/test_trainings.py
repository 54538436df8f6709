"""Which trials a confirmation trains: its own, and again what an error ended; never what another one has left."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.run.trials import CONFIRM, Trial, read_run
from search.confirm.trainings import begin_anew, is_needed, is_over
from search.events import Outcome, Proposal
from search.monitoring.progress import Terminal
from search.resume.history import RememberedTrial
from search.study.space import BASE
from tests.support.run_directories import worked_example
from trainables.execution.ending import FINISHED, Ending, EndKind
from trainables.recipe.recipe import Recipe

RECIPE = Recipe.model_validate(
    {
        "data": {"name": "digits", "validation_size": 100},
        "model": {"name": "small"},
        "schedule": {"epochs": 5, "learning_rate": 0.1},
    }
)


def trial(root: Path, ending: Ending | None, role: str = CONFIRM) -> Trial:
    return replace(worked_example(root).trials[0], ending=ending, role=role)


@pytest.mark.parametrize(
    ("ending", "over"),
    [
        (None, False),
        (FINISHED, True),
        (Ending(EndKind.DIVERGED, "not finite"), True),
        (Ending(EndKind.OVERFITTED, "catastrophic overfitting"), True),
        (Ending(EndKind.OUT_OF_MEMORY, "out of memory"), False),
        (Ending(EndKind.HUNG, "no epoch for 600 s"), False),
    ],
)
def test_what_an_error_ended_is_trained_again(tmp_path: Path, ending: Ending | None, over: bool) -> None:
    assert is_over(trial(tmp_path, ending)) is over


def test_what_failed_in_the_search_itself_stays_as_it_is(tmp_path: Path) -> None:
    assert is_over(trial(tmp_path, Ending(EndKind.LOST, "an error"), "baseline"))
    assert not is_over(None)


def test_what_failed_begins_anew_and_what_was_interrupted_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = worked_example(tmp_path)
    lost, running = (replace(one, role=CONFIRM) for one in run.trials[:2])
    begin_anew(
        [replace(lost, ending=Ending(EndKind.LOST, "an error")), replace(running, ending=None)], run.folder, Terminal()
    )
    assert f"{lost.id[:8]} failed before (an error), and is trained again" in capsys.readouterr().out
    assert {one.id for one in run.trials} - {one.id for one in read_run(run.folder).trials} == {lost.id}


def remembered(seed: int, ended: bool, name: str = "confirm") -> RememberedTrial:
    recipe = RECIPE.model_copy(update={"seed": seed})
    outcome = Outcome(FINISHED, {"robust_accuracy": 0.5}, 1.0) if ended else None
    return RememberedTrial(Proposal(recipe, "confirm", name, seed), outcome, seed if ended else -1, ())


def test_what_another_confirmation_has_left_unfinished_is_not_gone_on_with() -> None:
    """It took the place of what was asked for, which was then not trained."""
    own, other = remembered(1, ended=False), remembered(2, ended=False)
    wanted = {own.proposal.recipe.id}
    assert [is_needed(one, wanted, set()) for one in (own, other)] == [True, False]


def test_what_has_ended_is_needed_where_something_starts_from_it() -> None:
    base, parent, neither = remembered(1, True, BASE), remembered(2, True), remembered(3, True)
    parents = {parent.proposal.recipe.id}
    assert [is_needed(one, {"x"}, parents) for one in (base, parent, neither)] == [True, True, False]
