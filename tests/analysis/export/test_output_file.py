"""A file that the user named: its place is checked first, and what cannot be written is refused in words."""

import re
from pathlib import Path

import pytest

from analysis.export.output_file import output_file, write_output
from trainables.errors import InvalidInput


def test_a_place_in_which_no_file_can_be_is_refused(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing" / "a.csv")
    told = re.escape(f"--output: got {missing}, expected a file in a folder that is there")
    with pytest.raises(InvalidInput, match=told):
        output_file(missing, "--output")
    with pytest.raises(InvalidInput, match="which is a folder, expected a file"):
        output_file(str(tmp_path), "--output")
    assert not list(tmp_path.iterdir())


def test_a_file_is_written_and_a_full_disk_is_told_in_words(tmp_path: Path) -> None:
    path = output_file(str(tmp_path / "a.csv"), "--html")
    write_output(path, "--html", b"a")
    assert (output_file(str(path), "--html"), path.read_bytes()) == (path, b"a")
    full = output_file("/dev/full", "--html")
    with pytest.raises(InvalidInput, match=r"--html: got /dev/full, which cannot be written \(No space left"):
        write_output(full, "--html", b"a")
