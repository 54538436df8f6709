"""What is said of a confirmation: who wins, by how much, and as plainly where the pick loses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.evidence.comparisons import comparisons
from analysis.evidence.confirmation import read_confirmations
from analysis.evidence.words import as_json, progress, sentences, table, unreliable
from analysis.run.trials import read_run
from tests.support.confirmations import FAST, IMAGES, PICK, REFERENCE, SEEDS, confirm, confirmation
from tests.support.run_directories import worked_example
from trainables.storage import Folder


@pytest.mark.parametrize(
    ("pick", "reference", "words"),
    [
        (0.70, 0.70, "parity within 1 point"),
        (0.72, 0.70, "better"),
        (0.60, 0.70, "no parity, it is more than 1 point below"),
    ],
)
def test_it_says_who_wins_and_for_what(tmp_path: Path, pick: float, reference: float, words: str) -> None:
    first, *rest = sentences(confirmation(tmp_path, pick, reference, 0.5))
    assert first.startswith(f"Recipe a reaches {pick:.3f} against pgd_at_20's {reference:.3f} under the ensemble (")
    assert f"6 fresh seeds: {words}) for 3.0% of its marginal training compute (7.6% end-to-end) and 9% of its" in first
    assert (
        "against the best fast baseline at equal end-to-end compute, n_fgsm dense at the compute of recipe a" in first
    )
    assert "(" in first
    assert ": better)." in first
    assert "95% for all 2 comparisons together" in rest[0]
    assert "p ≥ 0.0156 with 6 seeds" in rest[0]


def test_a_loss_to_the_fast_opponent_is_said_as_plainly(tmp_path: Path) -> None:
    first = sentences(confirmation(tmp_path, 0.6, 0.6, 0.7))[0]
    assert "it is −10.0 (−" in first
    assert ": no better)." in first


def test_what_seeds_leave_open_is_undecided_and_says_how_many_more(tmp_path: Path) -> None:
    one = confirmation(tmp_path, 0.70, 0.70, 0.5)
    found = dict(one.results)
    for place, seed in enumerate(SEEDS):  # the reference's seeds go the other way
        trial, record = found["pgd_at_20", seed]
        stands = np.arange(IMAGES) < 700 - 10 * (place - 2.5)
        found["pgd_at_20", seed] = trial, replace(record, robust=stands)
    first = sentences(replace(one, results=found))[0]
    assert "undecided whether within 1 point; about" in first
    assert "more seeds would decide" in first


def test_the_table_shows_what_the_search_and_a_weak_attack_had_said(tmp_path: Path) -> None:
    one = confirmation(tmp_path, 0.7, 0.7, 0.5)
    found = dict(one.results)
    trial, record = found["recipe a", 1001]
    found["recipe a", 1001] = trial, replace(record, unreliable=("its gradients are zero",))
    del found["n_fgsm dense at the compute of recipe a", 1000]
    lines = table(replace(one, results=found))
    assert lines[0].split(None, 2) == ["recipe", "a", "dense · N-FGSM ε 0.2 · 6 epochs · lr 0.1"]
    pick, _, opponent = lines[-3:]
    assert "0.750" in pick  # validation
    assert "0.700" in pick
    assert "6/6  UNRELIABLE in 1" in pick
    assert opponent.endswith("5/6")
    assert unreliable(replace(one, results=found)) == ["UNRELIABLE: recipe a, seed 1001: its gradients are zero"]
    assert [one.other.name for one in comparisons(replace(one, results=found))] == [
        "pgd_at_20"
    ]  # the opponent lacks a seed
    none = {key: value for key, value in found.items() if key[0] != "pgd_at_20"}
    assert "not attacked yet" in table(replace(one, results=none))[-2]
    assert sentences(replace(one, results=none)) == []
    assert progress(replace(one, results=none)) == (
        "confirmation 1 (6 fresh seeds, the ensemble): 11 of 18 networks attacked"
    )


def test_the_result_is_plain_data(tmp_path: Path) -> None:
    made = as_json(confirmation(tmp_path, 0.7, 0.7, 0.5))
    assert [(one["other"], one["parity"], one["better"]) for one in made["comparisons"]] == [
        (REFERENCE, "yes", "undecided"),  # no difference at all on 1,000 images
        (FAST, "yes", "yes"),
    ]
    assert set(made["robust_accuracy"][PICK]) == set(map(str, SEEDS))
    assert json.loads(json.dumps(made)) == made


def test_a_sentence_about_numbers_that_cannot_be_trusted_says_so(tmp_path: Path) -> None:
    worked_example(tmp_path)
    confirm(tmp_path, 0.7, 0.7, 0.5, unreliable=("its gradients are zero",))
    (one,) = read_confirmations(read_run(Folder(str(tmp_path))))
    assert sentences(one)[0].endswith(". UNRELIABLE: its gradients are zero.")
