"""A storage that is full from any one write on, or away: the record stays whole, nothing failed, a resume ends it."""

import os
from errno import EACCES, ENOSPC
from functools import partial
from os import strerror
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner

from analysis.run.trials import read_run
from cluster.connection.runtime_env import COMMIT
from search.cli.app import temper
from search.events import Listener, Outcome, Proposal
from search.failures import storage_watched, why_unwritable
from search.recipes.fixed import FixedRecipes
from search.record.driver_session import driver_session
from search.record.recorder import Record
from search.resume.history import next_order, remember
from search.study.loading import load
from search.study.study import Study
from tests.support.command import SMALL
from tests.support.run_directories import worked_example
from tests.support.searcher import done, searcher
from trainables import local_files
from trainables.errors import StorageFull
from trainables.execution.ending import Ending, EndKind, State
from trainables.storage import Folder


@pytest.fixture(scope="module")
def study() -> Study:
    return load("digits", [*SMALL, "budget.trials=1", "sampler.kind=random"])


def drive(study: Study, folder: Folder) -> None:
    """Begin the search or go on with it: each trial writes a checkpoint as its process does, then ends."""
    with storage_watched(folder):
        begun = folder.exists("run.json")
        past = remember(read_run(folder)) if begun else []
        record = Record(folder, next_order(past))
        if not begun:
            record.begin(study, FixedRecipes.of(study), command="temper search", data_fingerprint="1f", device="cpu")
        with driver_session(folder, "temper search", resumes=begun) as closing:
            died = Ending(EndKind.LOST, "EOFError: Ran out of input")  # what follows from a full disk, in other words
            searching = searcher(
                study,
                record,
                closing,
                why_failed=lambda _: died,
                why_unwritable=partial(why_unwritable, folder),
            )
            searching.replay(past)
            number = 0
            while isinstance(made := searching.suggest(f"t{number}"), dict):
                try:
                    folder.child("trials", made["id"], "attempts").write("1-1", b"here\n")
                    folder.child("trials", made["id"], "checkpoint", "1").write_json("state.json", {"history": []})
                    searching.on_trial_complete(f"t{number}", done(0.5, 1e9))
                except OSError as error:  # in the trial's process, unless it is of the driver's record
                    if "attempts" not in str(error) and "checkpoint" not in str(error):
                        raise
                    searching.on_trial_complete(f"t{number}", error=True)
                number += 1


def test_a_report_into_anothers_run_is_refused_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    worked_example(tmp_path)

    def refuse(self: Folder, name: str, content: bytes, **how: bool) -> None:
        detail = f"Failed to open local file '{self}/{name}.partial'. Detail: [errno 13] Permission denied"
        raise PermissionError(EACCES, detail)  # as Arrow words it

    monkeypatch.setattr(Folder, "write", refuse)
    told = CliRunner().invoke(temper, ["report", str(tmp_path)])
    assert isinstance(told.exception, StorageFull)
    assert f"{tmp_path}: the storage cannot be written (Permission denied)" in str(told.exception)


def test_whenever_it_becomes_full_nothing_is_lost_and_nothing_fails(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMMIT, "1f")  # so that git need not be asked each time
    write = Folder.write
    written: list[str] = []

    def drive_with_room_for(writes: int, folder: Folder) -> None:
        """Drive the search on a storage that takes so many writes."""
        written.clear()

        def limited(self: Folder, name: str, content: bytes, *, lasting: bool = False) -> None:
            if len(written) >= writes:
                raise OSError(ENOSPC, strerror(ENOSPC), f"{self}/{name}")
            written.append(f"{self}/{name}")
            write(self, name, content, lasting=lasting)

        with monkeypatch.context() as patched:
            patched.setattr(Folder, "write", limited)
            drive(study, folder)

    on_disk = set()
    with monkeypatch.context() as patched:
        patched.setattr(
            "os.fsync", lambda file: on_disk.add(Path(os.readlink(f"/proc/self/fd/{file}")).name.partition(".")[0])
        )
        drive_with_room_for(1000, Folder(str(tmp_path)).child("whole"))
    assert on_disk > {"study", "run", "recipe", "outcome"}
    needed = len(written)
    assert needed > 25
    recipes = {one.id for one in read_run(Folder(str(tmp_path)).child("whole")).trials}
    assert len(recipes) == 6
    for writes in range(needed - 1):  # the last one is the session's end, which is lost without harm
        folder = Folder(str(tmp_path)).child(f"full-at-{writes}")
        with pytest.raises(StorageFull, match="the storage is full"):
            drive_with_room_for(writes, folder)
        before = dict[str, Any]()
        if folder.exists("run.json"):
            run = read_run(folder)
            assert run.unreadable == run.left_out == ()
            assert {one.state for one in run.trials} <= {State.COMPLETE, State.RUNNING}
            before = {one.id: one.metrics for one in run.trials if one.state is State.COMPLETE}
        drive(study, folder)
        after = {one.id: one.metrics for one in read_run(folder).trials if one.state is State.COMPLETE}
        assert set(after) == recipes
        assert before.items() <= after.items()


def test_an_outcome_waits_for_a_run_that_is_away_and_is_not_told_of_where_it_stays_away(
    study: Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMMIT, "1f")
    runs, away = tmp_path / "runs", tmp_path / "away"
    folder, told, slept = Folder(str(runs)).child("one"), list[str](), [0.0]

    class After(Listener):
        def ended(self, proposal: Proposal, outcome: Outcome) -> None:
            told.append(proposal.recipe.id)

    def nap(seconds: float) -> None:
        slept[0] += seconds
        assert not runs.exists()
        if len(told) == 0 and slept[0] > 6:
            away.rename(runs)

    monkeypatch.setattr(local_files, "time", SimpleNamespace(sleep=nap, monotonic=lambda: slept[0]))
    record = Record(folder)
    record.begin(study, FixedRecipes.of(study), command="temper search", data_fingerprint="1f", device="cpu")
    searching = searcher(study, record, After(), why_unwritable=partial(why_unwritable, folder))
    first, second = searching.suggest("t0"), None
    runs.rename(away)
    searching.on_trial_complete("t0", done(0.5, 1e9))
    assert isinstance(first, dict)
    assert told == [first["id"]] == [one.id for one in read_run(folder).trials if one.state is State.COMPLETE]

    second = searching.suggest("t1")
    runs.rename(away)
    words = r"one: the storage cannot be written \(the folder is gone.* `temper resume .*one` goes on with it"
    with pytest.raises(StorageFull, match=words), storage_watched(folder):
        searching.on_trial_complete("t1", done(0.5, 1e9))
    assert not runs.exists()
    assert len(told) == 1
    with pytest.raises(StorageFull):  # and so does a trial that could not write for so long
        searching.on_trial_complete("t1", error=True)
    away.rename(runs)
    assert isinstance(second, dict)
    assert {one.id: one.state for one in read_run(folder).trials}[second["id"]] is State.RUNNING
