"""The benchmark of decisions asks and tells: its searcher has a budget to propose from, whatever the sampler."""

import pytest

from tests.benchmarks import decisions


@pytest.mark.parametrize("kind", ["cost_aware", "random"])
def test_so_many_pairs_are_timed_after_so_many_proposals(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "PROPOSALS", 24)
    before, replaying, taken = decisions.pairs(kind)
    assert before == 24
    assert replaying >= 0
    assert len(taken) == 20
    assert min(taken) > 0
