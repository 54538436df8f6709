"""Mutated studies and generated folders are drawn by their number alone, and end as done or refused."""

from pathlib import Path

import pytest

from search.preflight.study_check import check_study
from search.study.loading import load
from tests.fuzz import inputs
from tests.fuzz.inputs import outcome
from tests.fuzz.mutated_studies import STUDY, mutated
from tests.fuzz.random_folders import Expected, write_folder
from trainables.errors import InvalidInput


def test_the_study_that_is_mutated_is_valid(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text(STUDY)
    assert check_study(load(str(tmp_path / "study.yaml"))) == 2


def test_inputs_are_drawn_by_their_number_alone(tmp_path: Path) -> None:
    studies = [mutated(number) for number in range(200)]
    assert studies == [mutated(number) for number in range(200)]
    assert len(set(studies)) > 190
    assert write_folder(tmp_path / "a", 3) == write_folder(tmp_path / "b", 3)
    files = [sorted(path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")) for name in "ab"]
    assert files[0] == files[1]


@pytest.mark.parametrize(
    ("raised", "end"), [(None, "done"), (InvalidInput("study: no"), "refused"), (KeyError("name"), "defect")]
)
def test_an_end_is_told_apart(monkeypatch: pytest.MonkeyPatch, raised: Exception | None, end: str) -> None:
    def take_through(number: int) -> None:
        if raised is not None:
            raise raised

    monkeypatch.setitem(inputs.KINDS, "studies", (take_through, 1))
    found = outcome("studies", 3)
    assert (found["number"], found["end"]) == (3, end)
    assert raised is None or str(raised) in found["reason"]


def test_wrong_images_and_needless_refusals_are_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(root: Path, number: int) -> Expected:
        found = write_folder(root, number)
        first = min(found.train)
        found.train[first] = [(1 - red, green, blue) for red, green, blue in found.train[first]]
        return found

    def hopeful(root: Path, number: int) -> Expected:
        found = write_folder(root, number)
        found.refused.clear()
        return found

    ends = {number: outcome("folders", number)["end"] for number in range(12)}
    read = next(number for number, end in ends.items() if end == "done")
    refused = next(number for number, end in ends.items() if end == "refused")
    monkeypatch.setattr(inputs, "write_folder", shifted)
    assert "colours of class 0 that no file has" in outcome("folders", read)["reason"]
    monkeypatch.setattr(inputs, "write_folder", hopeful)
    assert "refused without a reason" in outcome("folders", refused)["reason"]


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
@pytest.mark.parametrize("kind", ["studies", "folders"])
def test_an_input_is_used_or_refused_in_words(kind: str, number: int) -> None:
    found = outcome(kind, number)
    assert found["end"] in ("done", "refused"), found["reason"]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_mutated_study_is_searched_or_refused_in_words() -> None:
    found = outcome("searches", 3)  # one that is valid
    assert found["end"] in ("done", "refused"), found["reason"]
