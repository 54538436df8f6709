"""A search that is interrupted ends by its exit code and says what it keeps; kills are in test_faults.py."""

import signal
import socket
import time
from pathlib import Path

import pytest

from tests.support.command import start_search, temper

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("number", "code", "reason", "later"),  # `later`: moments after the first result, s
    [
        (signal.SIGINT, 130, "Ctrl-C (SIGINT)", 0.0),
        pytest.param(signal.SIGTERM, 143, "SIGTERM", 0.7, marks=pytest.mark.thorough),
    ],
)
def test_a_signal_ends_the_search_with_its_exit_code_and_says_what_is_kept(
    tmp_path: Path, number: int, code: int, reason: str, later: float
) -> None:
    ignored = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup, the search would be too
    process = start_search(tmp_path, "cut", [])
    signal.signal(signal.SIGHUP, ignored)
    assert process.stdout is not None
    for line in process.stdout:
        if line.lstrip().startswith("1/"):
            break
    time.sleep(later)
    process.send_signal(number)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == code, output
    assert "Traceback" not in output
    assert "temper resume" in output
    assert not (tmp_path / "cut" / ".tune").exists()
    assert temper("report", str(tmp_path / "cut")).returncode == 0
    told = temper("status", str(tmp_path / "cut")).stdout.splitlines()
    assert told[-2].startswith("interrupted ")
    assert told[-2].endswith(f" on {socket.gethostname()}: {reason}")
