"""Tables and signals: what is said of those that do not fit yet, and the example that the documents show."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.checkout import ROOT
from trainables.data.checks import check_form, checked_values
from trainables.data.config import Data
from trainables.data.splits import load_splits
from trainables.errors import InvalidInput
from trainables.models.build import build
from trainables.models.config import Network

TABLE, LABELS = np.linspace(0, 1, 40 * 5).reshape(40, 5), np.arange(40) % 4
ROWS = TABLE[:, :, None, None]


@pytest.mark.parametrize(
    ("table", "labels", "message"),
    [
        (TABLE, LABELS, r"rows of a table \(n, columns\): numpy.asarray\(table, float\)\[:, :, None, None\]$"),
        (
            TABLE.astype(object),
            LABELS.astype(str),
            r"of several kinds: pandas.get_dummies\(table\); rows of a table .*; labels as words: numpy.unique",
        ),
        (ROWS.astype(object), LABELS, r"images of object, expected numbers; images as numbers: images.astype\(float\)"),
        (
            ROWS,
            np.where(LABELS == 2, np.nan, LABELS),
            "; 10 labels are missing, the first of image 2: drop these images",
        ),
        (ROWS, LABELS + 0.5, r"; labels that are no classes: numpy.digitize\(labels, edges\) makes classes of ranges"),
        (ROWS, LABELS.astype(float), r"; labels as fractions: labels.astype\(int\)$"),
    ],
)
def test_tables_and_labels_in_another_form_are_told_theirs(table: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        check_form(table, labels, "theirs")


@pytest.mark.parametrize("shape", [(40, 5, 1, 1), (40, 1, 1, 5), (40, 1, 5, 1)])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows * 60000, r"expected numbers in \[0, 1\]; \(x - low\) / \(high - low\) by the lowest"),
        (
            lambda rows: rows * 9 - 4,
            r"of a table those of each column; drop what is constant, and clip the test split$",
        ),
        (
            lambda rows: rows * np.nan,
            "are nan, first in image 0, .*; fill what is missing or drop those rows; a constan",
        ),
        (lambda rows: rows * 1.1, r"expected images.clip\(0, 1\)"),
    ],
)
def test_columns_of_another_scale_are_told_that_of_tables_and_not_of_pictures(  # type: ignore[no-untyped-def]
    shape: tuple[int, ...], change, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        checked_values(change(TABLE.reshape(shape)).astype(np.float32), LABELS, "theirs")


def test_the_table_of_the_documents_is_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = (ROOT / "docs" / "how-to.md").read_text().partition("use a table")[2]
    source = section.partition("```python\n")[2].partition("```")[0]
    rows = [
        f"{number % 7},{1000 - number},5,{'ab'[number % 2]},{'stay' if number % 3 else 'go'}" for number in range(60)
    ]
    (tmp_path / "churn.csv").write_text("\n".join(["age,income,constant,city,label", *rows, "3,,5,a,go"]))
    (tmp_path / "churn.py").write_text(source.replace("/data/churn.csv", str(tmp_path / "churn.csv")))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "churn", raising=False)
    splits = load_splits(Data(name="churn:load", validation_size=10))
    assert splits.train.images.shape == (38, 5, 1, 1)  # 60 rows without a gap: 12 are for the test, 10 to validate
    assert splits.classes == 2
    held = np.concatenate([splits.train.images, splits.validation.images])
    assert held.min(0).ravel().tolist() == [0] * 5
    assert held.max(0).ravel().tolist() == [1, 1, 0, 1, 1]  # the constant column is 0
    network = build(Network(name="churn:network"), (5, 1, 1), classes=2)
    assert network(torch.from_numpy(splits.train.images)).shape == (38, 2)
