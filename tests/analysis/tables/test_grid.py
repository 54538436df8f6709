"""The grid's table against means worked out by hand, and its picture."""

from pathlib import Path
from typing import Any

import pytest

from analysis.report.grid_chart import draw_grid_png
from analysis.run.trials import read_run
from analysis.tables.grid import grid_table
from tests.support.run_directories import add, start
from trainables.storage import Folder

GRID: dict[str, Any] = {
    "arms": [
        {"name": "cut", "base": "base", "ordinary": True, "score": "robust_accuracy"},
        {"name": "tuned", "base": "pgd", "ordinary": False, "score": "robust_accuracy"},
    ],
    "bases": {"base": ["b"], "pgd": ["p"]},
    "cells": {
        "c0": {"arm": "cut", "axis": "pruning", "level": 0.5, "seed": 0},
        "c1": {"arm": "cut", "axis": "pruning", "level": 0.5, "seed": 1},
        "c2": {"arm": "cut", "axis": "quantization", "level": 8, "seed": 0},
        "t0": {"arm": "tuned", "axis": "pruning", "level": 0.5, "seed": 0},
        "lost": {"arm": "tuned", "axis": "pruning", "level": 0.5, "seed": 1},
    },
}


def test_seeds_are_averaged_and_what_did_not_finish_is_left_out(tmp_path: Path) -> None:
    start(tmp_path, grid=GRID)
    add(tmp_path, "b", role="base", name="base", robust=0.1)
    for number, (name, robust) in enumerate((("c0", 0.2), ("c1", 0.4), ("c2", 0.3), ("t0", 0.6)), start=1):
        add(tmp_path, name, role="grid", name="cut", number=number, robust=robust)
    add(tmp_path, "lost", role="grid", number=9, state="fail")
    run = read_run(Folder(str(tmp_path)))
    table = grid_table(run)
    assert table[["arm", "axis", "level", "seeds"]].to_numpy().tolist() == [
        ["cut", "pruning", 0.5, 2],
        ["cut", "quantization", 8, 1],
        ["tuned", "pruning", 0.5, 1],
    ]
    assert table["robust"].tolist() == pytest.approx([0.3, 0.3, 0.6])
    assert table["robust_sd"][0] == pytest.approx(0.2 / 2**0.5)  # of 0.2 and 0.4, with n - 1
    assert table["robust_sd"].isna().tolist() == [False, True, True]
    assert draw_grid_png(run, table).startswith(b"\x89PNG")


def test_a_run_without_a_grid_has_an_empty_table(tmp_path: Path) -> None:
    start(tmp_path)
    assert len(grid_table(read_run(Folder(str(tmp_path))))) == 0
