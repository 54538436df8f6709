"""Tables of a confirmation: what each attack broke adds up to what the ensemble broke."""

from pathlib import Path

import pytest

from analysis.evidence.rows import broken_by, rows, standing_after
from tests.support.confirmations import FAST, PICK, REFERENCE, confirmation


def test_what_each_attack_broke_adds_up_to_what_the_ensemble_broke(tmp_path: Path) -> None:
    one = confirmation(tmp_path, 0.8, 0.81, 0.7)
    broken = broken_by(one)
    assert list(broken) == ["PGD", "Square"]
    for row in rows(one):
        assert sum(shares[row.entry.name] for shares in broken.values()) == pytest.approx(row.clean - row.robust)
    assert broken["PGD"] == pytest.approx({PICK: 0.1, REFERENCE: 0.095, FAST: 0.15}, abs=1e-3)


def test_what_stands_after_the_last_attack_is_what_the_ensemble_left(tmp_path: Path) -> None:
    one = confirmation(tmp_path, 0.8, 0.81, 0.7)
    for row in rows(one):
        standing = standing_after(one, row.entry)
        assert list(standing) == ["PGD", "Square"]
        assert row.clean > standing["PGD"] > standing["Square"] == pytest.approx(row.robust)


def test_the_spread_is_that_of_a_sample_of_seeds(tmp_path: Path) -> None:
    """Six seeds at equal distances of .002: the squares of ±1, ±3, ±5 times .001 add up to 70, of five degrees."""
    (pick, *_) = rows(confirmation(tmp_path, 0.8, 0.81, 0.7))
    assert pick.spread == pytest.approx(0.001 * (70 / 5) ** 0.5)
