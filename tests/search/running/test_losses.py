"""Trials whose processes or nodes are lost for good: left unfinished, and a search on a broken machine ends."""

from pathlib import Path

from ray.tune.search import Searcher

from analysis.run.losses import last_loss
from analysis.run.sessions import End, read_sessions, standings
from analysis.run.trials import read_run
from analysis.status.status import status_of
from analysis.status.words import left_unfinished, status_lines
from search.events import Proposal
from search.record.driver_session import driver_session
from search.record.recorder import Record
from search.resume.history import remember
from search.running.losses import MOST_IN_A_ROW, Losses
from search.running.searcher import ParetoSearcher
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.run_directories import recipe, start
from tests.support.searcher import Log, done, searcher
from trainables.execution.ending import Ending, EndKind
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

KILLED = Ending(EndKind.KILLED, "its node was lost")
THREE = [*SMALL, "budget.trials=3", "sampler.kind=random"]  # of b0 to b3, b3 alone starts from another, from b0


class Losing(Log):
    """A search in which every trial that fails was killed, and what its listeners were told of that."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self.left: list[Proposal] = []
        self.closings: list[str] = []

    def left_unfinished(self, proposal: Proposal, reason: str) -> None:
        assert reason == "its node was lost"
        self.left.append(proposal)

    def closed(self, reason: str) -> None:
        self.closings.append(reason)


def losing() -> tuple[Losing, ParetoSearcher]:
    study = load("digits", THREE)
    log = Losing(study)
    return log, searcher(study, log, why_failed=lambda _: KILLED)


def test_what_needs_a_lost_baseline_waits_for_a_resume_and_all_else_runs() -> None:
    log, searching = losing()
    for number in range(4):
        assert isinstance(searching.suggest(f"t{number}"), dict)
    assert [one.name for one in log.proposals] == ["base", "b0", "b1", "b2"]
    searching.on_trial_complete("t1", error=True)
    assert searching.suggest("t4") is None  # b3 never will, but proposals follow the base
    searching.on_trial_complete("t0", done(0.1, 0.0))
    for number in range(5, 8):
        assert isinstance(searching.suggest(f"t{number}"), dict)
    assert searching.suggest("t8") == Searcher.FINISHED
    assert [one.name for one in log.left] == ["b0"]
    assert len(log.outcomes) == 1
    assert "b3" not in [one.name for one in log.proposals]
    assert log.closings == []


def test_a_lost_base_ends_the_search_once_the_others_have_ended() -> None:
    log, searching = losing()
    for number in range(4):
        searching.suggest(f"t{number}")
    searching.on_trial_complete("t0", error=True)
    assert searching.suggest("t4") is None  # b3 still may run
    searching.on_trial_complete("t1", done(0.5, 1e9))
    assert isinstance(searching.suggest("t5"), dict)
    assert log.proposals[-1].name == "b3"
    assert searching.suggest("t6") == Searcher.FINISHED
    assert [one.name for one in log.left] == ["base"]


def test_a_search_ends_where_one_trial_after_the_other_is_lost() -> None:
    log, searching = losing()
    searching.suggest("t0")
    searching.on_trial_complete("t0", done(0.1, 0.0))
    for number in range(1, 1 + MOST_IN_A_ROW):
        assert isinstance(searching.suggest(f"t{number}"), dict)
        searching.on_trial_complete(f"t{number}", error=True)
    assert searching.suggest("t9") == Searcher.FINISHED
    assert log.closings == ["3 trials in a row lost their processes, and none finished an epoch in between"]
    assert len(log.left) == MOST_IN_A_ROW


def test_an_epoch_in_between_and_trials_of_one_node_do_not_count_as_a_row() -> None:
    losses = Losses()
    for name in "abcd":
        losses.begin(name)
    for name in "abcd":
        losses.lose(name)
    assert losses.why_hopeless() is None
    for name in "ef":
        losses.begin(name)
        losses.lose(name)
    assert losses.why_hopeless() is not None
    losses.progress()
    assert losses.why_hopeless() is None
    losses.begin("g")
    losses.lose("g")
    assert losses.why_hopeless() is None


def test_the_record_keeps_the_reason_and_no_outcome(tmp_path: Path) -> None:
    start(tmp_path)
    run = Folder(str(tmp_path))
    proposal = Proposal(Recipe.model_validate(recipe()), "proposed", None, 0)
    record, place = Record(run), run.child("trials", proposal.recipe.id)
    record.proposed(proposal)
    assert left_unfinished(read_run(run)) is None  # it runs, or was interrupted
    record.left_unfinished(proposal, "its node was lost")
    record.left_unfinished(proposal, "its process was ended by SIGTERM")
    again = read_run(run)
    told = left_unfinished(again)
    assert told is not None
    assert "1 trial was left unfinished" in told
    assert "its process was ended by SIGTERM" in told
    assert f"temper resume {run}" in told
    assert [one.reason for one in again.trials] == ["its process was ended by SIGTERM"]
    assert list(standings(again).values()) == ["unfinished"]
    place.child("lost").write("2.json", b'{"reas')  # torn
    assert last_loss(place) == "its node was lost"
    for number in range(9):
        record.left_unfinished(proposal, f"loss {number + 3}")
    assert last_loss(place) == "loss 11"
    assert [one.outcome for one in remember(again)] == [None]


def test_a_session_that_left_trials_behind_has_failed(tmp_path: Path) -> None:
    start(tmp_path)
    run = Folder(str(tmp_path))
    proposal = Proposal(Recipe.model_validate(recipe()), "proposed", None, 0)
    with driver_session(run, "temper search digits", resumes=False) as closing:
        Record(run).proposed(proposal)
        Record(run).left_unfinished(proposal, "its node was lost")
        closing.left_unfinished(proposal, "its node was lost")
    (session,) = read_sessions(run)
    assert session.end is End.FAILED
    assert session.reason == "1 of its trials lost their processes or nodes; nothing was left to run"
    found = read_run(run)
    lines = status_lines(found, status_of(found))
    assert any("its node was lost" in line for line in lines)
    assert lines[-1] == f"`temper resume {run}` goes on with it."
