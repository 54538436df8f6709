"""Searches on one machine that lose processes, files, memory and disk space, and go on."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.command import SMALL, start_search, temper, trial_processes
from tests.support.faults import SETTINGS, Row, check, outcomes, reference_of, running, seconds_to_recover, until

pytestmark = [pytest.mark.slow, pytest.mark.alone]
Measured = Callable[[Row], None]
ALONE = [*SETTINGS, "resources.max_concurrent=1"]


def signal_in_epoch(process: "subprocess.Popen[str]", run: Path, trial: str, epoch: int, number: int) -> float:
    """Send a signal to the process of a trial that has begun an epoch. Returns when, in Unix time."""
    until(lambda: running(run, epoch, name=trial), lambda: process.poll() is None)
    (worker,) = trial_processes(process.pid)
    moment = time.time()
    os.kill(worker, number)
    return moment


def ended(process: "subprocess.Popen[str]", code: int = 0) -> str:
    """What a search printed until it ended so."""
    output, _ = process.communicate(timeout=250)
    assert process.returncode == code, output
    assert "Traceback" not in output
    return output


def test_a_worker_that_is_killed_then_hangs_continues_from_its_checkpoints_to_the_same_numbers(
    tmp_path: Path, measured: Measured
) -> None:
    settings = [*ALONE, "budget.epoch_timeout=5", "budget.retries=2"]
    trial, killed, stopped = reference_of(settings), 0.0, 0.0
    for name in ("whole", "hit"):
        process = start_search(tmp_path, name, settings)
        if name == "hit":
            killed = signal_in_epoch(process, tmp_path / name, trial, 3, signal.SIGKILL)
            stopped = signal_in_epoch(process, tmp_path / name, trial, 7, signal.SIGSTOP)
        ended(process)
    whole, hit = outcomes(tmp_path / "whole"), outcomes(tmp_path / "hit")
    assert set(whole) == set(hit)
    for name, outcome in whole.items():
        assert outcome["state"] == hit[name]["state"] == "complete"
        before, after = outcome["metrics"], hit[name]["metrics"]
        assert before["spent_flops"] == before["train_flops"]
        lost = after.pop("spent_flops") - before.pop("spent_flops")
        # Each time the epoch that was running is lost; all epochs cost the same.
        expected = 2 * before["train_flops"] / before["epochs"] if name == trial else 0
        assert lost == pytest.approx(expected, rel=1e-6)
        del before["device_seconds"], after["device_seconds"]
        assert before == after
    finished, missing = check(tmp_path / "hit", repeated=trial)
    assert missing == 0
    seconds = seconds_to_recover(tmp_path / "hit", trial, killed)
    measured(Row("worker process killed", 1, finished, missing, seconds, "same numbers as undisturbed"))
    seconds = seconds_to_recover(tmp_path / "hit", trial, stopped)
    assert seconds > 5
    measured(Row("trial hung", 1, finished, missing, seconds, "5 s of it `budget.epoch_timeout`"))


@pytest.mark.thorough
def test_a_worker_lost_for_good_is_left_unfinished_and_resumed(tmp_path: Path) -> None:
    settings = [*ALONE, "budget.retries=0"]
    process, trial = start_search(tmp_path, "lost", settings), reference_of(settings)
    signal_in_epoch(process, tmp_path / "lost", trial, 4, signal.SIGKILL)
    run = tmp_path / "lost"
    output, found = ended(process, code=1), outcomes(run)
    assert len(found) == 4  # base, b1 and two proposals; neither the reference nor b2, which starts from it
    assert {outcome["state"] for outcome in found.values()} == {"complete"}
    assert "No verdict: the reference did not finish (unfinished: its process was killed" in output
    assert f"{run}: 1 trial was left unfinished, and what needs them did not run. b0 (" in output
    assert "of its trials lost their processes" in temper("status", str(run)).stdout
    done = temper("resume", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert found.items() <= outcomes(run).items()
    assert check(run, repeated=trial) == (6, 0)


# Networks that fail on batches of a size that only one baseline has.
OWN = """
import time
from pathlib import Path

import ray
import torch
from torch import nn


class Heavy(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        if self.training and len(x) > 40:
            torch.empty(2**52)  # more than any machine has
        if self.training and len(x) == 23:
            time.sleep(3600)
        return self.inner(x)


def network(image_shape, classes):
    stall = Path("stall")
    if stall.exists() and ray.is_initialized() and ray.get_runtime_context().get_actor_id():
        stall.unlink()
        time.sleep(3600)
    inner = [nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(512, classes)]
    return Heavy(nn.Sequential(*inner))
"""
OWN_SETTINGS = [
    *SMALL,
    "model.name=heavy:network",
    "space.schedule.batch_size=40",
    "pretraining.batch_size=40",
    "sampler.kind=random",
    "budget.trials=1",
]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with that module in it."""
    (tmp_path / "heavy.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "heavy", raising=False)  # of an earlier test's folder
    return tmp_path


def by_batch_size(own: Path, sizes: dict[str, int], *settings: str) -> tuple[str, Path]:
    """Output and run of a search whose baselines have these batch sizes, 40 if none is named."""
    named = [f"baselines.{n}.schedule.batch_size={sizes.get(f'b{n}', 40)}" for n in range(4)]
    process = start_search(own / "runs", "own", [*OWN_SETTINGS, *named, *settings], cwd=own)
    return ended(process), own / "runs" / "own"


def of(run: Path, name: str) -> dict[str, object]:
    trial = next(
        path.parent.name for path in run.glob("trials/*/recipe.json") if f'"name": "{name}"' in path.read_text()
    )
    return outcomes(run)[trial]


@pytest.mark.thorough
def test_a_trial_that_always_hangs_is_fail_and_the_search_goes_on(own: Path, measured: Measured) -> None:
    (own / "stall").touch()  # the first process that builds the network, for the base, hangs in it, once
    output, run = by_batch_size(own, {"b1": 23}, "budget.epoch_timeout=12")
    assert not (own / "stall").exists()
    assert of(run, "b1")["state"] == "fail"
    assert of(run, "b1")["reason"] == "no epoch for 12 s (budget.epoch_timeout)"
    assert "FAIL: no epoch for 12 s" in output
    finished, missing = check(run)
    assert missing == 1
    measured(Row("trial hangs every time", 1, finished, missing, None, "FAIL with that reason after one retry"))


def test_out_of_memory_is_retried_in_micro_batches_or_ends_so(own: Path, measured: Measured) -> None:
    output, run = by_batch_size(own, {"b1": 80, "b2": 200})
    fits, never = of(run, "b1"), of(run, "b2")
    assert fits["state"] == "complete"
    assert fits["metrics"]["micro_batches"] == 4  # type: ignore[index]
    assert fits["metrics"]["spent_flops"] > fits["metrics"]["train_flops"]  # type: ignore[index]
    assert never["state"] == "fail"
    assert "FAIL: out of memory: " in output
    assert str(never["reason"]).startswith("out of memory: ")
    assert str(never["reason"]).endswith("in 4 micro-batches as well")
    finished, missing = check(run)
    assert missing == 1
    note = "one trial finished in micro-batches; one that did not fit so either is FAIL with that reason"
    measured(Row("trial out of memory", 1, finished, missing, None, note))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 40 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(place)], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill(path: Path) -> None:
    """Write a file until there is no room for another page."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(2**12)):
            pass


def test_a_full_storage_ends_the_search_which_then_resumes(small_disk: Path, measured: Measured) -> None:
    process, run = start_search(small_disk, "full", ALONE), small_disk / "full"
    trial = reference_of(ALONE)
    until(lambda: running(run, 5, name=trial), lambda: process.poll() is None)
    fill(small_disk / "other")
    output, before = ended(process, code=1), outcomes(run)
    assert f"{run}: the storage is full." in output
    assert f"temper resume {run}" in output
    assert trial not in before
    (small_disk / "other").unlink()
    moment = time.time()
    done = temper("resume", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert before.items() <= outcomes(run).items()
    finished, missing = check(run, repeated=trial)
    assert missing == 0
    seconds = seconds_to_recover(run, trial, moment)
    measured(Row("storage full", 1, finished, missing, seconds, "exit 1 and one message; from `temper resume` on"))


def tear(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.thorough
def test_torn_files_are_told_and_done_again(tmp_path: Path, measured: Measured) -> None:
    process, run, trial = start_search(tmp_path, "torn", ALONE), tmp_path / "torn", reference_of(ALONE)
    until(lambda: running(run, 6, name=trial), lambda: process.poll() is None)
    (worker,) = trial_processes(process.pid)
    process.kill()
    process.communicate()
    until(lambda: not Path(f"/proc/{worker}").exists(), lambda: True)  # it may write one more checkpoint until then
    checkpoints = run / "trials" / trial / "checkpoint"
    newest = max(int(path.name) for path in checkpoints.iterdir() if (path / "state.json").exists())
    tear(checkpoints / str(newest) / "weights.safetensors")
    (base,) = outcomes(run)
    tear(run / "trials" / base / "outcome.json")
    unread = run / "trials" / "0123456789abcdef"
    unread.mkdir()
    (unread / "recipe.json").write_text('{"id": "0123')
    moment = time.time()
    done = temper("resume", str(run))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"trials/{trial}/checkpoint/{newest}: torn; it goes on from epoch {newest - 1}" in done.stdout
    assert f"trials/{base}/outcome.json: torn; it goes on from its newest checkpoint" in done.stdout
    assert "trials/0123456789abcdef/recipe.json: torn or missing; as if it had never begun" in done.stdout
    finished, missing = check(run, repeated=trial)
    assert missing == 0
    seconds = seconds_to_recover(run, trial, moment)
    measured(Row("checkpoint and state files torn", 1, finished, missing, seconds, "from `temper resume` on"))
