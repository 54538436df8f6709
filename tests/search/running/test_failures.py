"""What a failure is said to be, how a hung trial is ended, and what is torn in a run directory."""

import traceback
from errno import ENOSPC, EROFS
from os import strerror
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from search.events import Outcome
from search.failures import ending_of, error_of, start_fault, storage_fault, storage_watched, why_unwritable
from search.running.callbacks import HangCallback
from search.study.loading import load
from tests.support.searcher import Log, searcher
from trainables.errors import InvalidInput, MachineFault, StorageFull
from trainables.execution.ending import Ending, EndKind
from trainables.storage import Folder

LOW = "Ray ended its process, since its node ran low on memory"
DIED = "The actor died unexpectedly before finishing this task.\n\tclass_name: X\nThe actor is dead because "
EXIT = f"{DIED}its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: "
# The ends of processes as Ray 2.60 words them, each seen on a process that ended so.
KILLED = f"{EXIT}Worker unexpectedly exits with a connection error code 2. End of file. Some common causes include: …"
TERMINATED = f"{EXIT}Worker exits unexpectedly. Worker exits with an exit code 1. The process receives a SIGTERM."
LEFT = f"{EXIT}Worker exits unexpectedly. Worker exits with an exit code 3."
NODE = "The actor died because its node has died. Node Id: 1f\n\tthe actor's node was terminated unexpectedly: …"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        ("Traceback\n  File x\nValueError: no\n", EndKind.LOST, "ValueError: no"),
        ("", EndKind.LOST, "failed without a message"),
        ("t\ntorch.OutOfMemoryError: CUDA", EndKind.OUT_OF_MEMORY, "out of memory: torch.OutOfMemoryError: CUDA"),
        ("MemoryError", EndKind.OUT_OF_MEMORY, "out of memory: MemoryError"),
        ("ray.exceptions.OutOfMemoryError: killed\nset RAY_x", EndKind.KILLED, LOW),
    ],
)  # fmt: skip
def test_a_failure_is_told_in_one_line(error: str, kind: EndKind, reason: str) -> None:
    assert ending_of(error) == Ending(kind, reason)


TRACEBACK = """\x1b[36mray::RecipeTrainable.train()\x1b[39m (pid=7, ip=10.0.0.1)
  File "/x/tune/trainable.py", line 331, in train
    result = self.step()
             ^^^^^^^^^^^
  File "/x/model.py", line 12, in forward
    raise wrong
"""
SAVING = f"""{TRACEBACK.splitlines()[0]}
  File "/x/trainables/trainable.py", line 140, in _train
    pipeline.save(place)
  File "/x/trainables/storage.py", line 195, in _write
    with system.open_output_stream(path) as stream:
  File "pyarrow/error.pxi", line 92, in pyarrow.lib.check_status
"""
FIRST, SECOND = "Failure # 1 (occurred at 2026-11-27_00-00-00)\n", "Failure # 2 (occurred at 2026-11-27_00-00-09)\n"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (f"{TRACEBACK}ValueError: no", "ValueError: no"),
        (f"{TRACEBACK}ValueError: several\n  lines\nNone\n", "ValueError: several"),
        (f"{TRACEBACK}RuntimeError: Error(s) in X:\n\tsize mismatch", "RuntimeError: Error(s) in X: size mismatch"),
        (f"{TRACEBACK}AssertionError", "AssertionError without a message, raised in /x/model.py, line 12"),
        (f"{TRACEBACK}KeyError: None", "KeyError: None"),
        ("None", "failed without a message"),
        (f"{FIRST}None\n", "failed without a message"),
        (f"{FIRST}{TRACEBACK}IndexError: 1\n{SECOND}None\n", "IndexError: 1"),
        (f"{FIRST}{TRACEBACK}IndexError: 1\n{SECOND}{TRACEBACK}KeyError: 2\n", "KeyError: 2"),
        ("The actor died unexpectedly.\n\tclass_name: X\nWorker exit type: KILLED", "Worker exit type: KILLED"),
    ],
)  # fmt: skip
def test_the_reason_is_what_was_raised_and_never_none(error: str, reason: str) -> None:
    assert ending_of(error) == Ending(EndKind.LOST, reason)


@pytest.mark.parametrize(
    ("raised", "reason"),
    [
        ("KeyError: 'epsilon'", "KeyError: 'epsilon' in attack.py line 3"),
        ("AssertionError", "AssertionError in attack.py line 3"),
        ("trainables.errors.InvalidInput: x: attack.py line 3", "trainables.errors.InvalidInput: x: attack.py line 3"),
    ],
)
def test_the_last_line_of_the_users_is_named_once(raised: str, reason: str, tmp_path: Path) -> None:
    (tmp_path / "attack.py").write_text("\n\nraise KeyError('epsilon')\n")
    theirs = f'  File "{tmp_path}/attack.py", line 3, in attack\n    raise\n'
    inside = f'  File "{nn.__file__}", line 9, in forward\n    raise\n'
    assert ending_of(f"{TRACEBACK}{theirs}{inside}{raised}") == Ending(EndKind.LOST, reason)


def test_a_trial_whose_run_stays_away_is_ended_by_the_storage_and_done_again(tmp_path: Path) -> None:
    try:
        Folder(str(tmp_path)).child("trials").kept(patience=0.0).child("a").write("outcome.json", b"")
    except OSError:
        error = traceback.format_exc()
    ending = ending_of(error)
    assert ending.kind is EndKind.KILLED
    told = f"the storage failed it: trainables.local_files.Away: {tmp_path}/trials: the folder is gone, or its storage"
    assert str(ending.detail).startswith(told)


@pytest.mark.parametrize(
    ("error", "machine", "reason"),
    [
        (KILLED, True, "its process was killed, by the kernel for lack of memory or by somebody, or it crashed"),
        (TERMINATED, True, "its process was ended by SIGTERM"),
        (NODE, True, "its node was lost"),
        ("The actor 1f is unavailable: no answer.", True, "The actor 1f is unavailable: no answer."),
        (f"{TRACEBACK}ray.exceptions.OwnerDiedError: lost", True, "ray.exceptions.OwnerDiedError: lost"),
        (
            f"{TRACEBACK}torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered",
            True,
            "torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered",
        ),
        (f"{SAVING}OSError: no connection", True, "the storage failed it: OSError: no connection"),
        (f"{SAVING}FileNotFoundError: gone", False, "FileNotFoundError: gone"),
        (f"{FIRST}{KILLED}\n{SECOND}{TRACEBACK}KeyError: 2", False, "KeyError: 2"),
        (f"{FIRST}{TRACEBACK}KeyError: 2\n{SECOND}{NODE}", True, "its node was lost"),
        (LEFT, False, LEFT.splitlines()[-1]),
        (f"{TRACEBACK}ValueError: its node has died", False, "ValueError: its node has died"),
        (f"{DIED}it was killed by `ray.kill`.", False, "The actor is dead because it was killed by `ray.kill`."),
    ],
)  # fmt: skip
def test_a_trial_ended_by_its_machine_is_told_from_one_that_ended_itself(
    error: str, machine: bool, reason: str
) -> None:
    assert ending_of(error) == Ending(EndKind.KILLED if machine else EndKind.LOST, reason)


def test_an_earlier_failure_for_lack_of_memory_is_not_the_reason_of_a_later_one() -> None:
    error = f"{FIRST}ray.exceptions.OutOfMemoryError: killed\n{SECOND}{TRACEBACK}KeyError: 2\n"
    assert ending_of(error) == Ending(EndKind.LOST, "KeyError: 2")


def test_errors_are_read_from_the_drivers_own_file_or_else_from_tune(tmp_path: Path) -> None:
    here = tmp_path / "error.txt"
    trial = SimpleNamespace(error_file=str(here), get_error=lambda: None)
    assert error_of(trial) == ""
    here.write_text("ValueError: no\n")
    assert error_of(trial) == "ValueError: no\n"
    assert error_of(SimpleNamespace(get_error=lambda: "its worker failed 2 times")) == "its worker failed 2 times"


@pytest.mark.parametrize("kind", EndKind)
def test_only_a_complete_trial_has_no_reason(kind: EndKind) -> None:
    for nothing in (None, ""):
        reason = Outcome(Ending(kind, nothing), None, 0.0).reason
        assert (reason is None) == (kind is EndKind.FINISHED)
        assert reason != ""
    assert Ending(EndKind.OUT_OF_MEMORY).reason == "out of memory, without a message"
    assert Outcome(Ending(kind, "why"), None, 0.0).reason == "why"


def test_a_full_storage_is_told_wherever_it_was_met(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "one"))
    folder.write_json("run.json", {})
    behind = RuntimeError("Tune stopped")
    behind.__cause__ = OSError(ENOSPC, strerror(ENOSPC))
    with (
        pytest.raises(StorageFull, match=r"one: the storage is full.*temper resume .*/one` goes"),
        storage_watched(folder),
    ):
        raise behind
    with pytest.raises(StorageFull), storage_watched(folder):
        raise RuntimeError(f"Traceback …\nOSError: [Errno 28] Error writing: {strerror(ENOSPC)}")
    with pytest.raises(RuntimeError, match="else"), storage_watched(folder):
        raise RuntimeError("something else")
    assert storage_fault("No such file or directory") is None
    assert storage_fault("OSError: [Errno 30] Read-only file system: 'x'") == "Read-only file system"


def test_an_error_that_does_not_say_so_is_one_of_the_storage_where_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Folder(str(tmp_path / "one"))
    assert why_unwritable(folder, patience=0.0) == "the folder is gone, or its storage is away"
    assert not folder.exists()
    folder.make()
    assert why_unwritable(folder) is None
    assert folder.names() == []

    def refuse(*_: Any) -> None:
        raise OSError(EROFS, strerror(EROFS))

    monkeypatch.setattr(Folder, "write", refuse)
    assert why_unwritable(folder) == strerror(EROFS)
    told = r"one: the storage cannot be written \(Read-only file system\).*begin the search again"
    with pytest.raises(StorageFull, match=told), storage_watched(folder):
        raise EOFError("Ran out of input")  # what Tune says of its own file that was cut
    with pytest.raises(InvalidInput), storage_watched(folder):
        raise InvalidInput("space: got 1")


def test_a_process_that_could_not_be_started_is_a_fault_of_the_machine(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path / "one"))
    ray = "ray.exceptions.ActorDiedError: died.\nThe actor never ran - it was cancelled before it started running."
    told = r"could not be started \(The actor never ran - .* running\); does the memory suffice\?.*temper resume"
    with pytest.raises(MachineFault, match=told), storage_watched(folder):
        raise RuntimeError(ray)
    assert start_fault("ValueError: no") is None


class Tune:
    """Trials that start and report, a clock, and who was killed."""

    def __init__(self, timeout: float | None) -> None:
        self.now, self.killed = 0.0, list[str]()
        self.hangs = HangCallback(timeout, self.killed.append, lambda: self.now)

    def trial(self, name: str) -> Any:
        return SimpleNamespace(trial_id=name, temporary_state=SimpleNamespace(ray_actor=f"actor of {name}"))

    def step(self, now: float) -> list[str]:
        self.now = now
        self.hangs.on_step_begin(0, [])
        return self.killed


def test_a_trial_without_a_report_for_too_long_is_killed_once() -> None:
    tune = Tune(10)
    slow, quick, done = (tune.trial(name) for name in ("slow", "quick", "done"))
    for trial in (slow, quick, done):
        tune.hangs.on_trial_start(0, [], trial)
    assert tune.step(9) == []
    tune.hangs.on_trial_result(0, [], quick, {})
    tune.hangs.on_trial_complete(0, [], done)
    assert tune.step(11) == ["actor of slow"]
    assert tune.step(12) == ["actor of slow"]
    hung = Ending(EndKind.HUNG, "no epoch for 10 s (budget.epoch_timeout)")
    assert tune.hangs.endings == {"slow": hung}
    tune.hangs.on_trial_recover(0, [], slow)
    assert tune.step(18) == ["actor of slow"]  # it waits for a process
    tune.hangs.on_trial_start(0, [], slow)
    assert tune.hangs.endings == {}  # what ends it now is something else
    assert tune.step(25) == ["actor of slow", "actor of quick"]


def test_without_a_timeout_nobody_is_killed() -> None:
    tune = Tune(None)
    tune.hangs.on_trial_start(0, [], tune.trial("slow"))
    assert tune.step(1e9) == []


def test_a_trial_that_died_of_the_storage_or_the_machine_is_no_failed_one() -> None:
    study, problem, ending = load("digits"), ["Read-only file system"], ["EOFError: Ran out of input"]
    log = Log(study)
    searching = searcher(
        study,
        log,
        why_failed=lambda _: Ending(EndKind.LOST, ending[0]),
        why_unwritable=lambda: problem[0] if problem else None,
    )
    assert isinstance(searching.suggest("t1"), dict)
    with pytest.raises(StorageFull, match="Read-only"):
        searching.on_trial_complete("t1", error=True)
    assert log.outcomes == []
    problem.clear()
    ending[0] = "The actor never ran - it was cancelled before it started running."
    with pytest.raises(MachineFault, match="never ran"):
        searching.on_trial_complete("t1", error=True)
    assert log.outcomes == []
    ending[0] = "EOFError: Ran out of input"
    searching.on_trial_complete("t1", error=True)
    assert [one.reason for one in log.outcomes] == ["EOFError: Ran out of input"]
