"""The command that a search offers at its end, which goes with its verdict."""

from pathlib import Path

from analysis.run.trials import read_run
from search.cli.search import next_command
from tests.support.run_directories import add, start, worked_example
from trainables.storage import Folder


def test_a_command_is_offered_where_there_is_a_verdict(tmp_path: Path) -> None:
    folder = Folder(str(tmp_path))
    assert next_command(worked_example(tmp_path)) == f"temper export {folder.typed} --pick knee --format yaml"


def test_none_is_offered_without_a_verdict_whatever_is_on_the_frontier(tmp_path: Path) -> None:
    for name, (failed, finished) in {"baselines": ("a", "pgd"), "proposal": ("pgd", "a")}.items():
        start(tmp_path / name)
        roles = {"a": "proposed", "pgd": "baseline"}
        add(tmp_path / name, failed, role=roles[failed], state="fail", reason="ValueError: no")
        add(tmp_path / name, finished, role=roles[finished], number=1, robust=0.8, flops=1e10)
        assert next_command(read_run(Folder(str(tmp_path / name)))) is None
