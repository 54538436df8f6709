"""A search whose runs lie in an object store: a server on this machine that speaks S3, by the URI that a user gives."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from pyarrow import fs

from analysis.run.sessions import End, read_sessions
from analysis.run.trials import read_run
from search.remote.submission import submit
from search.study.loading import load
from tests.support.command import SMALL, start_search, temper
from tests.support.faults import until
from tests.support.heads import free_ports
from trainables.errors import InvalidInput
from trainables.execution.ending import State
from trainables.storage import Folder

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "unused", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URI of a bucket, with the options that lead to the server."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    (port,) = free_ports(1)
    with (tmp_path / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)], stdout=log, stderr=log
        )
    try:
        until(lambda: answers(port), lambda: server.poll() is None)
        endpoint = f"127.0.0.1:{port}"
        fs.S3FileSystem(scheme="http", endpoint_override=endpoint, allow_bucket_creation=True).create_dir("lab")
        yield f"s3://lab/runs?scheme=http&endpoint_override=127.0.0.1%3A{port}"
    finally:
        server.kill()
        server.wait()


def answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/moto-api/", timeout=5):
            return True
    except OSError:
        return False


def test_options_of_a_uri_stay_behind_the_folders_below_it() -> None:
    folder = Folder("s3://lab/runs/?scheme=http").child("digits", "trials")
    assert str(folder) == "s3://lab/runs/digits/trials?scheme=http"
    assert folder.local is None
    assert folder.name == Folder(str(folder)).name == "trials"
    assert Folder("runs/digits/").name == "digits"
    assert str(Folder("runs/what?").child("a")) == "runs/what?/a"  # a local folder may be called so
    with pytest.raises(InvalidInput) as refused:
        Folder("s3://key:hidden@lab/runs")
    assert "hidden" not in str(refused.value)
    with pytest.raises(InvalidInput, match="password"):  # before anything is sent
        submit(load("digits"), address="http://127.0.0.1:1", storage="s3://key:hidden@lab/runs", name="run")


@pytest.mark.slow
def test_a_search_in_an_object_store_is_killed_resumed_and_explained(bucket: str, tmp_path: Path) -> None:
    process = start_search(bucket, "digits", SMALL, cwd=tmp_path)
    run = Folder(bucket).child("digits")
    trials = run.child("trials")
    until(
        lambda: any(trials.child(name).exists("outcome.json") for name in trials.names()),
        lambda: process.poll() is None,
    )
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = {
        name: trials.child(name).read("outcome.json")
        for name in trials.names()
        if trials.child(name).exists("outcome.json")
    }
    told = temper("status", str(run), cwd=tmp_path)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "complete" in told.stdout
    done = temper("resume", str(run), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert str(run) in done.stdout
    record = read_run(run)
    assert {trial.state for trial in record.trials} == {State.COMPLETE}
    assert len(record.trials) == 9
    assert {name: trials.child(name).read("outcome.json") for name in before} == before
    assert b"<html" in run.read("report.html")
    exported = temper("export", str(run), "--pick", "knee", cwd=tmp_path)
    assert exported.returncode == 0, exported.stdout + exported.stderr
    again = temper("report", str(run), cwd=tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert not list(tmp_path.glob("*lab*"))
    assert json.loads(run.read("run.json"))
    killed, finished = read_sessions(run)
    assert (killed.end, finished.end) == (None, End.FINISHED)
    assert 0 < finished.hours_before < 0.1
