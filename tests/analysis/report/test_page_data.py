"""What the page holds: every number of frontier.csv with all of its digits, and of long searches a part."""

import io
import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.evidence.comparisons import confirmed
from analysis.evidence.confirmation import read_confirmations
from analysis.report import page_data as module
from analysis.report.attacked_sheets import ROOM
from analysis.report.page import render
from analysis.report.page_data import endings, page_data
from analysis.report.report import write_report
from analysis.run.trials import Trial, read_run
from analysis.tables.trials import finished
from tests.support.confirmations import confirmed_run
from tests.support.report_pages import page_numbers
from tests.support.run_directories import add, recipe, start, worked_example
from trainables.evaluation.metrics import METRICS
from trainables.storage import Folder

ORDER = (
    "Confirmed", "Frontier", "Every recipe", "Confirmation 1 in numbers", "What was found when", "What was chosen",
    "What matters", "Learning curves", "What the attack does", "How they ended", "Threat model and conditions",
    "Provenance",
)  # fmt: skip
COUNTED = ("flops", "_macs", "_bitops", "_bytes", "parameters", "epochs", "kept_epoch")
ACCURACIES = ("robust_accuracy", "robust_accuracy_stderr", "clean_accuracy")


def test_every_number_of_the_frontiers_table_is_in_the_page_with_all_of_its_digits(tmp_path: Path) -> None:
    write_report(worked_example(tmp_path))
    table = pd.read_csv(io.BytesIO((tmp_path / "frontier.csv").read_bytes()))
    values = page_numbers((tmp_path / "report.html").read_text())["values"]
    assert table["id"].tolist() == ["a", "b", "pgd"]
    rows = [values["id"].index(name) for name in table["id"]]
    for column in table:
        shown = pd.Series([values[column][row] for row in rows], dtype=object)
        assert (
            shown.where(shown.notna(), None).tolist()
            == table[column].astype(object).where(table[column].notna(), None).tolist()
        )


def test_columns_are_of_what_there_is_and_say_what_they_mean(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8)
    add(tmp_path, "a", number=1, robust=0.6, metrics={"model_bytes": 10.0}, params={"epochs": 3, "perturbation": "pgd"})
    run = read_run(Folder(str(tmp_path)))
    columns = {one["key"]: one for one in page_data(run, finished(run))["columns"]}
    assert columns["model_bytes"] == {"key": "model_bytes", "label": "bytes", "words": "stored size", "shown": False}
    assert columns["param.epochs"]["label"] == "epochs"
    assert all(one["words"] for one in columns.values())
    assert "energy_joules" not in columns
    assert columns["robust_accuracy"]["shown"]


def test_what_stands_after_each_attack_of_a_confirmation_has_a_column(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.72, 0.5)
    data = page_data(run, finished(run, confirmed(run)))
    columns = {one["key"]: one["label"] for one in data["columns"] if one["key"].startswith("confirmed_")}
    assert columns["confirmed_after.PGD"] == "after PGD"
    row = data["values"]["id"].index("a")
    stands = {key: data["values"][key][row] for key in columns}
    assert stands["confirmed_after.PGD"] == pytest.approx(0.85, abs=1e-3)  # half of what the ensemble broke
    assert stands["confirmed_after.Square"] == pytest.approx(stands["confirmed_robust_accuracy"]) == 0.7
    assert (stands["confirmed_clean"], stands["confirmed_scored"]) == (1.0, pytest.approx(0.7))


def test_what_is_not_finite_is_left_empty(tmp_path: Path) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=0.0)
    run = read_run(Folder(str(tmp_path)))
    data = page_data(run, finished(run))
    json.dumps(data, allow_nan=False)
    assert data["values"]["marginal_ratio"] == [None]  # of a reference that cost nothing


def test_of_a_long_search_the_frontier_fixed_recipes_and_an_even_draw_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path)
    add(tmp_path, "pgd", role="baseline", name="pgd_at_20", robust=0.8, flops=1e10)
    for number in range(1, 41):
        add(tmp_path, f"p{number:02}", number=number, robust=0.3, flops=1e9 + number)
    add(tmp_path, "best", number=41, robust=0.7, flops=1e9)
    run = read_run(Folder(str(tmp_path)))
    monkeypatch.setattr(module, "MOST", 12)
    data = page_data(run, finished(run))
    shown = data["values"]["id"]
    assert len(shown) == 12
    assert {"pgd", "best"} <= set(shown)
    numbers = [int(name[1:]) for name in shown if name not in ("pgd", "best")]
    assert (numbers[0], numbers[-1]) == (1, 40)
    assert max(b - a for a, b in itertools.pairwise(numbers)) <= 5
    assert data["recipes"] == 42
    write_report(run)
    assert "12 of 42 recipes are on this page" in (tmp_path / "report.html").read_text()


def test_what_was_confirmed_is_on_the_page_of_a_long_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though a later recipe dominates it."""
    confirmed_run(tmp_path, 0.7, 0.7, 0.5)
    for number in range(10, 50):
        add(tmp_path, f"p{number}", number=number, robust=0.3, flops=1e8 + number)
    add(tmp_path, "best", number=51, robust=0.9, flops=1e8)
    run = read_run(Folder(str(tmp_path)))
    monkeypatch.setattr(module, "MOST", 8)
    table = finished(run, confirmed(run))
    assert not table.set_index("id")["on_frontier"]["a"]
    assert "a" in page_data(run, table)["values"]["id"]


def test_endings_are_counted_by_state_and_reason(tmp_path: Path) -> None:
    start(tmp_path)
    for number, (state, reason) in enumerate(
        [("complete", None), ("pruned", "dominated"), ("pruned", "dominated"), ("fail", "out of memory"), (None, None)]
    ):
        add(tmp_path, f"t{number}", number=number, state=state, reason=reason, robust=0.5)
    assert endings(read_run(Folder(str(tmp_path)))) == [
        ("pruned", "dominated", 2),
        ("complete", "", 1),
        ("fail", "out of memory", 1),
        ("running", "", 1),
    ]


def test_a_page_of_a_thousand_recipes_stays_below_six_megabytes(tmp_path: Path) -> None:
    """Made-up recipes with as many numbers and digits as a search of digits records, and images to the room's end."""
    random = np.random.default_rng(0)
    few = worked_example(tmp_path)
    level = {"chance_accuracy": 31 / 297, "chance_accuracy_stderr": 0.017741363380791162}
    names = [name for name in METRICS if name.endswith(COUNTED)]

    def made(number: int) -> Trial:
        shares = random.random((22, 2)).tolist()
        params = dict(zip(("pruning_ratio", "epsilon", "learning_rate"), random.random(3).tolist(), strict=True))
        parts = {"compression": {"method": "channel_pruning", "pruning_ratio": number % 20 / 20}}
        schedule = {"epochs": 35, "learning_rate": params["learning_rate"]}
        tuned = recipe() | {"perturbation": {"kind": "n_fgsm", "epsilon": params["epsilon"]}} | parts
        numbers = (
            dict(zip(names, random.integers(10**7, 10**9, len(names)).astype(float).tolist(), strict=True)) | level
        )
        accuracies = dict(zip(ACCURACIES, (random.integers(32, 297, 3) / 297).tolist(), strict=True))
        return replace(
            few.trials[3],
            id=f"{number:016x}",
            number=10 + number,
            recipe=tuned | {"schedule": tuned["schedule"] | schedule},
            params=params | {"importance": "l2", "scope": "uniform", "perturbation": "n_fgsm", "epochs": 35},
            metrics=few.trials[3].metrics | numbers | accuracies,
            history=tuple(
                {"epoch": epoch, "robust_accuracy": robust, "clean_accuracy": clean}
                for epoch, (robust, clean) in enumerate(shares, 1)
            ),
        )

    run = replace(few, trials=(*few.trials, *(made(number) for number in range(module.MOST - len(few.trials)))))
    page = render(run, finished(run), None)
    assert len(page_numbers(page)["values"]["id"]) == module.MOST
    assert 5_500_000 < len(page.encode()) < 6_000_000 - ROOM


def test_the_sections_stand_in_the_order_in_which_people_ask(tmp_path: Path) -> None:
    run = confirmed_run(tmp_path, 0.7, 0.72, 0.5)
    page = render(run, finished(run, confirmed(run)), b"a picture", read_confirmations(run))
    found = re.findall("<h2>([^<]*)", page[page.index("<body>") :])
    assert [one for one in found if one in ORDER] == [one for one in ORDER if one in found]
    assert set(ORDER) - set(found) <= {"What matters", "What the attack does", "Learning curves", "What was chosen"}
