"""Contenders of `make bench`'s searches that are none of the product's get through one, and spend what they may."""

import pytest

from tests.benchmarks import searching

OTHERS = ("scalarised ASHA", "TPE + rungs at equal epochs", "cost-aware, gain not by compute")


@pytest.mark.parametrize("name", OTHERS)
def test_a_contender_searches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "SHARE", 0.02)
    grown = searching.run("digits", name, seed=0)
    assert len(grown) >= 5
    assert grown["hypervolume"].is_monotonic_increasing
    # What is spent is known before a proposal begins, and not of the seven others that run beside it.
    assert 0.9 < grown["share"].iloc[-1] < 2
    stopped = searching.CONTENDERS[name][1] != "nothing"
    assert stopped or grown["share"].iloc[-1] > 1
