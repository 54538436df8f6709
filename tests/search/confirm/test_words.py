"""What is said of a confirmation: who wins, by how much, and as plainly where the pick loses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from search.confirm.contenders import Contender
from search.confirm.plan import Plan
from search.confirm.words import Results, as_json, comparisons, sentences, table, unreliable
from tests.search.confirm.test_contenders import recipe
from tests.support.run_directories import worked_example
from trainables.assessment.attack_record import AttackRecord, AttackSetting
from trainables.evaluation.config import ThreatModel

SEEDS = (1000, 1001, 1002, 1003, 1004, 1005)
PICK = Contender("recipe abc", "pick", recipe(seed=1))
REFERENCE = Contender("pgd_at_20", "against", recipe(seed=2))
FAST = Contender("n_fgsm dense at the compute of recipe abc", "opponent", recipe(seed=3), "recipe abc")
PLAN = Plan((PICK, REFERENCE, FAST), SEEDS, AttackSetting(ThreatModel(epsilon=0.2), "standard", None), 0.01)
IMAGES = 1000


def results(tmp_path: Any, pick: float, reference: float, fast: float, spread: float = 0.002) -> Results:
    """Robust accuracies by contender: each seed's lies a little off, and the easiest images stand first."""
    trial = worked_example(tmp_path).trials[1]
    found = {}
    for one, robust, flops in ((PICK, pick, 3e8), (REFERENCE, reference, 1e10), (FAST, fast, 4e8)):
        for place, seed in enumerate(SEEDS):
            stands = np.arange(IMAGES) < round(IMAGES * (robust + spread * (place - 2.5)))
            right = np.ones(IMAGES, dtype=np.bool_)
            metrics = {
                "robust_accuracy": robust + 0.05, "train_flops": flops, "end_to_end_flops": flops + 5e8,
                "inference_macs": 9e5 if one is PICK else 1e7, "mac_ratio": 0.09 if one is PICK else 1.0,
            }  # fmt: skip
            record = AttackRecord("images", right, stands, stands, (), ())
            found[one.name, seed] = replace(trial, metrics=metrics), record
    return found


@pytest.mark.parametrize(
    ("pick", "reference", "words"),
    [
        (0.70, 0.70, "parity within 1 point"),
        (0.72, 0.70, "better"),
        (0.60, 0.70, "no parity, it is more than 1 point below"),
    ],
)
def test_it_says_who_wins_and_for_what(tmp_path: Any, pick: float, reference: float, words: str) -> None:
    first, *rest = sentences(PLAN, results(tmp_path, pick, reference, 0.5))
    assert first.startswith(f"Recipe abc reaches {pick:.3f} against pgd_at_20's {reference:.3f} under the ensemble (")
    assert f"6 fresh seeds: {words}) for 3.0% of its marginal training compute (7.6% end-to-end) and 9% of its" in first
    assert (
        "against the best fast baseline at equal end-to-end compute, n_fgsm dense at the compute of recipe abc" in first
    )
    assert "(" in first
    assert ": better)." in first
    assert "95% for all 2 comparisons together" in rest[0]
    assert "p ≥ 0.0156 with 6 seeds" in rest[0]


def test_a_loss_to_the_fast_opponent_is_said_as_plainly(tmp_path: Any) -> None:
    first = sentences(PLAN, results(tmp_path, 0.6, 0.6, 0.7))[0]
    assert "it is −10.0 (−" in first
    assert ": no better)." in first


def test_what_seeds_leave_open_is_undecided_and_says_how_many_more(tmp_path: Any) -> None:
    found = dict(results(tmp_path, 0.70, 0.70, 0.5))
    for place, seed in enumerate(SEEDS):  # the reference's seeds go the other way
        trial, record = found["pgd_at_20", seed]
        stands = np.arange(IMAGES) < 700 - 10 * (place - 2.5)
        found["pgd_at_20", seed] = trial, replace(record, robust=stands)
    first = sentences(PLAN, found)[0]
    assert "undecided whether within 1 point; about" in first
    assert "more seeds would decide" in first


def test_the_table_shows_what_the_search_and_a_weak_attack_had_said(tmp_path: Any) -> None:
    found = dict(results(tmp_path, 0.7, 0.7, 0.5))
    trial, record = found["recipe abc", 1001]
    found["recipe abc", 1001] = trial, replace(record, unreliable=("its gradients are zero",))
    del found["n_fgsm dense at the compute of recipe abc", 1000]
    lines = table(PLAN, found)
    assert "0.750" in lines[1]  # validation
    assert "0.700" in lines[1]
    assert "6/6  UNRELIABLE in 1" in lines[1]
    assert lines[3].endswith("5/6")
    assert unreliable(PLAN, found) == ["UNRELIABLE: recipe abc, seed 1001: its gradients are zero"]
    assert [one.other.name for one in comparisons(PLAN, found)] == ["pgd_at_20"]  # the opponent lacks a seed
    none = {key: value for key, value in found.items() if key[0] != "pgd_at_20"}
    assert "did not finish" in table(PLAN, none)[2]
    assert sentences(PLAN, none) == []


def test_the_result_is_plain_data(tmp_path: Any) -> None:
    made = as_json(PLAN, results(tmp_path, 0.7, 0.7, 0.5))
    assert [(one["other"], one["parity"], one["better"]) for one in made["comparisons"]] == [
        ("pgd_at_20", "yes", "no"),  # no difference at all
        ("n_fgsm dense at the compute of recipe abc", "yes", "yes"),
    ]
    assert set(made["robust_accuracy"]["recipe abc"]) == set(map(str, SEEDS))
