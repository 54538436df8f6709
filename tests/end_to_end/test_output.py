"""What the command does where its output cannot be printed: closed pipes, full devices, terminals without an ε."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.checkout import ROOT

STUDIES = f"{sys.executable} -m search studies"
# Stands for a search: it prints more than a pipe holds, is excused, and says on a file that it went on to its end.
LONG = """
import sys
from pathlib import Path
from search.cli.output import OUTPUTS
OUTPUTS.make_tolerant()
OUTPUTS.excuse()
for number in range(20_000):
    print(f"{number} ε ≥ 0.1 ·", flush=number % 100 == 0)
Path(sys.argv[1]).write_text(str(OUTPUTS.failure()))
"""


def shell(command: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    )


@pytest.mark.parametrize("where", ["| head -n 1", "> /dev/full", ">&-", "2>&-", ">&- 2>&-", "> /dev/null"])
def test_printing_ends_no_search(where: str, tmp_path: Path) -> None:
    script, done = tmp_path / "long.py", tmp_path / "done"
    script.write_text(LONG)
    told = shell(f"set -o pipefail; {sys.executable} {script} {done} {where}", PYTHONIOENCODING="latin-1")
    assert told.returncode == 0, told.stderr
    assert told.stderr == b""
    assert done.read_text() == "None"


def test_a_reader_that_has_enough_is_no_error_and_a_full_device_is_one() -> None:
    headed = shell(f"set -o pipefail; {STUDIES} | head -n 1")
    assert (headed.returncode, headed.stderr) == (0, b"")
    full = shell(f"{STUDIES} > /dev/full")
    assert (full.returncode, full.stderr) == (1, b"standard output cannot be written (No space left on device)\n")


def test_what_an_encoding_lacks_is_replaced() -> None:
    code = "from search.cli.output import OUTPUTS; OUTPUTS.make_tolerant(); print('ε 0.1')"
    assert shell(f'{sys.executable} -c "{code}"', PYTHONIOENCODING="latin-1").stdout == b"? 0.1\n"
    assert shell(f'{sys.executable} -c "{code}"', PYTHONIOENCODING="utf-8").stdout == "ε 0.1\n".encode()


def test_no_file_gets_the_number_of_a_closed_output(tmp_path: Path) -> None:
    code = (
        "import sys; from search.cli.output import OUTPUTS; OUTPUTS.make_tolerant(); "
        "file = open(sys.argv[1], 'w'); print('lost', flush=True); file.write(str(file.fileno() > 2)); file.close()"
    )
    assert shell(f'{sys.executable} -c "{code}" {tmp_path}/file >&-').returncode == 0
    assert (tmp_path / "file").read_text() == "True"
