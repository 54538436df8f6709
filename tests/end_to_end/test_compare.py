"""`temper compare` as a user runs it."""

import json
from pathlib import Path

from tests.support.checkout import ROOT
from tests.support.command import temper_here


def test_runs_are_compared_also_those_of_older_versions(tmp_path: Path) -> None:
    fixtures, page = ROOT / "tests" / "fixtures", tmp_path / "compared.html"
    runs = [str(fixtures / name / "run") for name in ("run_0_1", "run_0_2")]
    done = temper_here("compare", *runs, "--json", "--html", str(page))
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [one["folder"] for one in found["runs"]] == runs
    assert found["differences"]["space.compression.alternatives"] == ["–", "[]"]
    assert "plotly" in page.read_text()
    assert "Held by" in temper_here("compare", *runs).stdout
    alone = temper_here("compare", runs[0])
    assert (alone.returncode, "got 1 run, expected at least 2 to compare" in alone.stderr) == (2, True)
