"""The confirmed run that docs/evidence.md shows: its record, without weights, still says what page and verdicts say."""

import json
import tarfile
from pathlib import Path

import pytest

from analysis.evidence.confirmation import Confirmation, read_confirmations
from analysis.evidence.words import as_json, sentences
from analysis.run.trials import read_run
from tests.support.checkout import ROOT
from trainables.storage import Folder

EXAMPLE = ROOT / "analysis" / "examples" / "confirmed_digits"


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Confirmation, ...]:
    place = tmp_path_factory.mktemp("example")
    with tarfile.open(EXAMPLE / "run.tar.xz") as record:
        record.extractall(place, filter="data")
    return read_confirmations(read_run(Folder(str(place / "digits"))))


def test_recipes_outcomes_and_attacks_are_enough_for_the_verdicts(found: tuple[Confirmation, ...]) -> None:
    assert [one.number for one in found] == [1]
    for one in found:
        assert len(one.results) == len(one.conditions) == 42
        kept = json.loads((EXAMPLE / str(one.number) / "verdict.json").read_text())
        assert as_json(one)["sentences"] == kept["sentences"]
        assert as_json(one)["robust_accuracy"] == kept["robust_accuracy"]
        assert as_json(one)["conditions"] == kept["conditions"]


def test_the_page_says_what_they_say(found: tuple[Confirmation, ...]) -> None:
    text = " ".join(Path(ROOT / "docs" / "evidence.md").read_text().replace("\n> ", "\n").split())
    assert all(sentence in text for sentence in sentences(found[0])[:3])
