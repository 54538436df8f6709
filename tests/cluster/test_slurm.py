"""The batch script of Slurm, run as Slurm would on one node."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.command import SMALL

ROOT = Path(__file__).parents[2]
LAUNCHERS = ROOT / "cluster" / "launchers"
BIN = Path(sys.executable).parent


def slurm(place: Path, *arguments: str, job: int) -> subprocess.CompletedProcess[str]:
    """Run the batch script as Slurm would on one node: `srun` becomes a stub that runs its command here."""
    stub = place / "bin" / "srun"
    stub.parent.mkdir(exist_ok=True)
    stub.write_text('#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nSLURM_PROCID=0 exec "$@"\n')
    stub.chmod(0o755)
    hidden = ("RAY_AUTH_TOKEN", "RAY_AUTH_MODE", "SLURM_CPUS_PER_TASK")
    environment = {name: value for name, value in os.environ.items() if name not in hidden} | {
        "PATH": f"{stub.parent}:{BIN}:{os.environ['PATH']}",
        "HOME": str(place),
        "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NUM_NODES": "1",
        "SLURM_CPUS_ON_NODE": "2",
        "TEMPER_HEAD_IP": "127.0.0.1",
    }
    return subprocess.run(
        ["bash", str(LAUNCHERS / "slurm.sh"), *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        cwd=ROOT,
        env=environment,
    )


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(900)
def test_a_slurm_job_searches_resumes_and_hands_on_its_exit_code(tmp_path: Path) -> None:
    settings = [part for setting in SMALL for part in ("--set", setting)]
    arguments = ("digits", "--name", "job", "--storage", str(tmp_path / "runs"), *settings)
    job = os.getpid()
    done = slurm(tmp_path, *arguments, job=job)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "job" / "report.html").exists()
    again = slurm(tmp_path, *arguments, job=job)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "9 recipes have ended before, 0 continue" in again.stdout
    refused = slurm(tmp_path, *arguments, "--set", "seed=7", job=job)
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert not list(tmp_path.glob(".temper-*"))  # the token is gone
    assert not list(Path("/tmp").glob(f"temper-{job}-*"))


STUBS = {
    "srun": 'env > "$HOME/node"; echo "$@" > "$HOME/srun"; exec sleep 60',
    "scontrol": 'echo "$@" >> "$HOME/requeued"; exit "$REQUEUE"',
    "python": """case "$*" in
        *secrets*) printf 0123 ;;
        "-m search"*) echo "$@" > "$HOME/begun"; until [ -e "$HOME/done" ]; do sleep 0.05; done; exit 3 ;;
    esac""",
}


@contextmanager
def batch_script(home: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """The batch script with stubs for what it calls, and a socket where it looks for Ray's head."""
    for name, body in STUBS.items():
        stub = home / "stubs" / name
        stub.parent.mkdir(exist_ok=True)
        stub.write_text(f"#!/bin/bash\n{body}\n")
        stub.chmod(0o755)
    while True:
        job = int.from_bytes(os.urandom(3), "big")
        try:
            head = socket.create_server(("127.0.0.1", 20000 + job % 600 * 20))
            break
        except OSError:
            continue
    given = {
        "PATH": f"{home / 'stubs'}:/usr/bin:/bin", "HOME": str(home), "SLURM_JOB_ID": str(job),
        "SLURM_JOB_NUM_NODES": "1", "TEMPER_HEAD_IP": "127.0.0.1", "REQUEUE": "0",
    }  # fmt: skip
    command = ["bash", str(LAUNCHERS / "slurm.sh"), "digits", "--name", "a name"]
    with (
        head,
        subprocess.Popen(
            command, env=given | environment, cwd=home, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def appears(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, path
        time.sleep(0.02)
    return path.read_text()


@pytest.mark.parametrize("refused", [False, True])
def test_near_its_time_limit_a_job_is_queued_again_and_searches_on_until_it_is_ended(
    refused: bool, tmp_path: Path
) -> None:
    with batch_script(tmp_path, REQUEUE=str(int(refused))) as process:
        begun = appears(tmp_path / "begun")
        process.send_signal(signal.SIGUSR1)
        assert appears(tmp_path / "requeued").startswith("requeue ")
        assert process.poll() is None
        (tmp_path / "done").touch()
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 3  # the search's own
    assert ("not queued again" in errors) == refused
    assert begun.startswith("-m search search digits --name a name --address 127.0.0.1:")
    assert begun.endswith(" --or-resume\n")
    assert not list(tmp_path.glob(".temper-*"))  # the token is gone


def test_nodes_get_the_jobs_environment_and_a_folder_of_their_own(tmp_path: Path) -> None:
    with batch_script(tmp_path, TEMPER_SCRATCH="/scratch") as process:
        appears(tmp_path / "begun")
        (tmp_path / "done").touch()
        process.wait(timeout=20)
    assert (tmp_path / "srun").read_text().startswith("--export=ALL ")
    node = dict(line.partition("=")[::2] for line in (tmp_path / "node").read_text().splitlines())
    assert node["TEMPER_TEMP"].startswith(f"/scratch/temper-{node['SLURM_JOB_ID']}-")
    assert node["TEMPER_TEMP"].rpartition("-")[2] in node["RAY_AUTH_TOKEN_PATH"]
    with batch_script(tmp_path, TEMPER_SCRATCH="/a/folder/that/is/much/too/long") as process:
        _, errors = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "too many for Ray" in errors
    assert not list(tmp_path.glob(".temper-*"))
