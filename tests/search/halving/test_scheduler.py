"""Who gets a process that becomes free, on real Ray."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_process_that_is_being_started_is_waited_for_and_does_its_share(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.short_trials", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    processes = json.loads(done.stdout.splitlines()[-1])
    assert len(processes) == 40
    assert len(set(processes)) == 2  # in Tune's own order one does it all, and others are started and ended for nothing
