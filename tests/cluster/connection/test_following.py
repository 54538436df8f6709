"""A submitted search that is followed: through lost connections, to its end, and into the folder where it lies."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from cluster.connection import jobs
from search.cli import cluster
from search.remote import submission
from trainables.errors import InvalidInput, MachineFault
from trainables.storage import Folder


class FlakyClient:
    """A client of Ray's job server, of which each question has the next of these answers; one may be an error."""

    def __init__(self, *answers: Exception | str) -> None:
        self._answers = list(answers)

    def get_job_info(self, name: str) -> SimpleNamespace:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        code = 3 if answer == "FAILED" else None
        return SimpleNamespace(status=SimpleNamespace(value=answer), driver_exit_code=code, submission_id=name)

    async def tail_job_logs(self, name: str) -> AsyncIterator[str]:
        yield "epoch 1\n"
        raise ConnectionResetError("Connection reset by peer")


def jobs_of(*answers: Exception | str) -> jobs.Jobs:
    made = jobs.Jobs.__new__(jobs.Jobs)
    made._address, made._client = "http://head:8265", FlakyClient(*answers)
    return made


LOST = (ConnectionError("refused"), RuntimeError("Request failed with status code 503: no healthy upstream."))


def test_a_followed_search_outlives_a_lost_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "ASK_SECONDS", 0.0)
    shown: list[str] = []
    assert jobs_of(*LOST, "RUNNING", *LOST, "SUCCEEDED").follow("a", shown.append) == 0
    assert shown == ["epoch 1\n", "Connection reset by peer\n"]
    assert jobs_of("FAILED").follow("a", shown.append) == 3
    assert jobs_of("STOPPED").wait("a") == 1  # without a code of its own
    monkeypatch.setattr(jobs, "LOST_SECONDS", -1.0)
    with pytest.raises(MachineFault, match=r"http://head:8265: tells nothing of job a \(refused\)"):
        jobs_of(*LOST).wait("a")


def test_a_connection_may_be_lost_for_a_while_as_often_as_it_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    clock = SimpleNamespace(monotonic=lambda: now[0], sleep=lambda _: now.append(now.pop() + jobs.LOST_SECONDS * 0.8))
    monkeypatch.setattr(jobs, "time", clock)
    assert jobs_of("RUNNING", LOST[0], "RUNNING", LOST[0], "SUCCEEDED").wait("a") == 0
    with pytest.raises(MachineFault):
        jobs_of("RUNNING", *LOST, "SUCCEEDED").wait("a")


def test_only_a_job_that_is_not_there_is_called_so() -> None:
    missing = RuntimeError("Request failed with status code 404: Job a does not exist.")
    with pytest.raises(InvalidInput, match="a: no such job at http://head:8265"):
        jobs_of(missing).metadata("a")
    assert jobs_of("RUNNING", missing).series("a") == ["a"]
    with pytest.raises(MachineFault, match=r"tells nothing of job a .*503"):
        jobs_of(LOST[1]).series("a")


@pytest.mark.parametrize("output", [None, "elsewhere"])
def test_a_search_in_the_runs_of_this_machine_is_not_fetched_over_itself(
    output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fetched: list[Path] = []

    def follow(name: str, **_: object) -> int:
        Folder("runs").child(name).write_json("run.json", {})
        return 0

    def fetch(name: str, *, address: str, folder: Path) -> list[Path]:
        fetched.append(folder)
        return []

    monkeypatch.setattr(submission, "submit", lambda *_, **__: None)
    monkeypatch.setattr(submission, "follow", follow)
    monkeypatch.setattr(submission, "fetch", fetch)
    monkeypatch.setattr(cluster, "prepare", lambda address: None)
    arguments = ["digits", "--address", "http://head:8265", "--storage", str(tmp_path / "runs"), "--name", "a"]
    arguments += ["--follow", "--or-resume"] + ([] if output is None else ["--output", output])
    for _ in range(2):  # the second time, it goes on with the run
        done = CliRunner().invoke(cluster.submit, arguments, catch_exceptions=False)
        assert done.exit_code == 0
        assert ("Report   runs/a/report.html" in done.output) == (output is None)
    assert fetched == [] if output is None else [Path("elsewhere")] * 2
