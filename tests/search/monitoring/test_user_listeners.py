"""Listeners of the user's: they hear what they want to hear, and none of them ends a search."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from search.events import Outcome, Proposal
from search.monitoring.user_listeners import UserListener, user_listeners
from search.resume.fingerprint import fingerprint
from search.study.loading import load
from trainables.data.config import Data
from trainables.errors import InvalidInput
from trainables.execution.ending import Ending, EndKind
from trainables.models.config import Network
from trainables.recipe.recipe import Recipe
from trainables.recipe.schedule import Schedule
from trainables.storage import Folder
from trainables.user_modules import look_in

RECIPE = Recipe(
    data=Data(name="digits", validation_size=100),
    model=Network(name="small"),
    schedule=Schedule(epochs=1, learning_rate=0.1),
)
PROPOSAL = Proposal(RECIPE, "proposed", None, 0)
OUTCOME = Outcome(Ending(EndKind.FINISHED), {"robust_accuracy": 0.5}, 1.0)
MODULE = """
def loud(folder, study):
    return Heard(folder, study["name"])

def none(folder, study):
    raise RuntimeError("no tracker is there")

class Heard:
    def __init__(self, folder, name):
        self.told = [(folder, name)]
    def ended(self, proposal, outcome):
        self.told.append(outcome.metrics["robust_accuracy"])
    def finish(self):
        self.told.append("finish")
"""


class Heard:
    def __init__(self, fails: str = "") -> None:
        self.told: list[tuple[Any, ...]] = []
        self._fails = fails

    def reported(self, proposal: Proposal, row: dict[str, Any], ending: Ending | None) -> None:
        self.told.append(("reported", row["epoch"]))
        if self._fails == "reported":
            raise ConnectionError("the tracker is away")

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self.told.append(("ended", outcome.metrics))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "heard_by_me.py").write_text(MODULE)
    look_in(tmp_path)
    yield tmp_path
    look_in(None)


def test_a_trial_that_goes_on_from_before_is_told_as_proposed_first() -> None:
    """So a tracker that makes a run of its own for each proposal has one after a resume too."""

    class Tracker:
        def __init__(self) -> None:
            self.runs: dict[str, list[str]] = {}

        def proposed(self, proposal: Proposal) -> None:
            assert proposal.recipe.id not in self.runs
            self.runs[proposal.recipe.id] = ["proposed"]

        def reported(self, proposal: Proposal, row: dict[str, Any], ending: Ending | None) -> None:
            self.runs[proposal.recipe.id].append("reported")

        def ended(self, proposal: Proposal, outcome: Outcome) -> None:
            self.runs[proposal.recipe.id].append("ended")

    told = ["proposed", "reported", "ended"]
    for resumed in (True, False):
        theirs = Tracker()
        listener = UserListener("listeners.0: mine:tracker", theirs, pytest.fail)
        if not resumed:
            listener.proposed(PROPOSAL)
        listener.reported(PROPOSAL, {"epoch": 1})
        listener.ended(PROPOSAL, OUTCOME)
        assert theirs.runs == {RECIPE.id: told}


def test_it_hears_the_events_that_it_has_methods_for() -> None:
    theirs, said = Heard(), list[str]()
    listener = UserListener("listeners.0: mine:heard", theirs, said.append)
    listener.proposed(PROPOSAL)
    listener.reported(PROPOSAL, {"epoch": 1}, None)
    listener.ended(PROPOSAL, OUTCOME)
    listener.closed("converged")
    listener.finish()
    assert theirs.told == [("reported", 1), ("ended", {"robust_accuracy": 0.5})]
    assert said == []
    assert listener.live_only


def test_its_error_is_said_once_and_it_hears_nothing_more() -> None:
    theirs, said = Heard(fails="reported"), list[str]()
    listener = UserListener("listeners.0: mine:heard", theirs, said.append)
    for epoch in (1, 2):
        listener.reported(PROPOSAL, {"epoch": epoch}, None)
    listener.ended(PROPOSAL, OUTCOME)
    assert theirs.told == [("reported", 1)]
    (line,) = said
    assert line.startswith("listeners.0: mine:heard: reported failed (ConnectionError: the tracker is away)")
    assert line.endswith("it is told nothing more, the search goes on")


def test_a_study_makes_them_with_its_folder(folder: Path) -> None:
    study = load("digits", ["listeners=[heard_by_me:loud]"])
    look_in(folder)
    (listener,) = user_listeners(study, Folder(str(folder / "run")), print)
    listener.ended(PROPOSAL, OUTCOME)
    listener.finish()
    theirs: Any = listener._theirs
    assert theirs.told == [(str(folder / "run"), "digits"), 0.5, "finish"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("heard_by_me:none", "cannot be made (RuntimeError: no tracker is there) in heard_by_me.py line 6"),
        ("heard_by_me:missing", "has no missing"),
    ],
)
def test_one_that_cannot_be_made_is_refused(folder: Path, name: str, problem: str) -> None:
    study = load("digits", [f"listeners=[{name}]"])
    look_in(folder)
    with pytest.raises(InvalidInput) as refused:
        user_listeners(study, Folder(str(folder / "run")), print)
    assert problem in str(refused.value)


def test_a_search_may_be_resumed_with_others(folder: Path) -> None:
    without, having = (load("digits", given) for given in ([], ["listeners=[heard_by_me:loud]"]))
    look_in(folder)
    assert fingerprint(without, "data") == fingerprint(having, "data")
