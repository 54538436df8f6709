"""`temper init` as the page has it: from a network and data of one's own to a study that is valid and works."""

import re
from pathlib import Path

import pytest

from tests.end_to_end.test_readme import blocks_of, section_of
from tests.support.command import temper


@pytest.mark.slow
def test_a_study_is_written_for_ones_own_network_and_data_and_works(tmp_path: Path) -> None:
    command = re.search(r"`temper (init first\.yaml [^`]*)`", section_of("Your own data and network"))
    assert command is not None
    (tmp_path / "odd.py").write_text(blocks_of("Your own data and network")["python"])
    done = temper(*command.group(1).split(), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "data       1,248 training images of 1 × 8 × 8 in 2 classes, and 249 held out" in done.stdout
    assert re.search(r"machine    \d+ slots? on CPU, [\d.]+ GFLOP/s each\nsize       ", done.stdout)
    assert re.search(
        r"^# A step of pgd_at on \d+ images costs [\d.e+]+ FLOPs", (tmp_path / "first.yaml").read_text(), re.M
    )
    tried = temper("validate", "first.yaml", "--try", cwd=tmp_path)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert "first.yaml: valid (4 baselines" in tried.stdout
    again = temper(*command.group(1).split(), cwd=tmp_path)
    assert again.returncode == 2
    assert "first.yaml: is there already; --force writes over it" in again.stderr
