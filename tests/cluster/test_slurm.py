"""The batch script of Slurm, run as Slurm would on one node."""

import os
import subprocess
import sys
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
    assert not Path(f"/tmp/temper-{job}").exists()
