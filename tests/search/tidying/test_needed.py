"""Whose weights are kept: what the frontier holds by scores, and what it holds by the model's estimates."""

from pathlib import Path

from analysis.evidence.comparisons import confirmed
from analysis.export.selection import picks
from analysis.run.trials import read_run
from search.tidying.needed import needed
from tests.support.confirmations import confirmed_run
from tests.support.run_directories import add, worked_example
from trainables.storage import Folder


def test_what_was_confirmed_is_kept_where_something_dominates_it_now(tmp_path: Path) -> None:
    """`export --pick parity` takes it still."""
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    add(tmp_path, "newer", number=7, order=7, robust=0.9, flops=1e8)
    run = read_run(Folder(str(tmp_path)))
    assert picks(run, ["parity"], confirmed(run))[0].id == "a"
    assert needed(run)["a"] == "confirmed"
    assert "b" not in needed(run)


def test_the_frontier_is_kept_by_scores_and_by_estimates(tmp_path: Path) -> None:
    """A run that was killed has no estimates yet, and its report will be by them."""
    worked_example(tmp_path)
    add(tmp_path, "lucky", number=7, order=7, robust=0.62, flops=3.9e8)  # it dominates a, by chance
    run = read_run(Folder(str(tmp_path)))
    assert {name for name, why in needed(run).items() if why == "on the frontier"} >= {"lucky", "b"}
    assert "a" not in needed(run)
    finished = [one.id for one in run.trials if one.role == "proposed" and one.metrics]
    estimates = {name: {"robust_accuracy": {"lucky": 0.3, "a": 0.6}.get(name, 0.7)} for name in finished}
    assert set(needed(run.estimated(estimates))) >= {"lucky", "a", "b"}
