"""Where a run came from: what decides whether its numbers come out bitwise alike."""

import shlex
from pathlib import Path

import pytest
import yaml

from search.api import load_study
from search.cli.search import search
from search.record.provenance import cards, environment, python_command
from trainables.storage import Folder


def test_cards_are_named_as_their_driver_names_them(tmp_path: Path) -> None:
    assert cards(tmp_path / "no driver") == []
    for number, name in enumerate(("NVIDIA H100 80GB HBM3", "NVIDIA L4")):
        (tmp_path / f"0000:0{number}:00.0").mkdir()
        told = f"Model: \t\t {name}\nIRQ:   \t\t 41\nGPU UUID: \t GPU-e94291af\n"
        (tmp_path / f"0000:0{number}:00.0" / "information").write_text(told)
    assert cards(tmp_path) == ["NVIDIA H100 80GB HBM3", "NVIDIA L4"]


def test_what_was_trained_on_a_card_is_the_same_on_the_same_card_alone() -> None:
    """What was trained on a CPU is compared as before, whatever cards the machine has."""
    assert "cards" not in environment(1, "cpu")
    assert environment(1, "cuda")["cards"] == cards()


@pytest.mark.parametrize("study", ["digits", Path("my studies") / "odd.yaml"])
def test_a_search_from_python_of_a_study_with_a_name_is_repeated_by_a_command(study: str | Path) -> None:
    command = python_command(
        study,
        Folder("runs/x"),
        storage="",
        address="head:6379",
        allow_unauthenticated=True,
        warm_start=[Path("a"), "b"],
    )
    words = shlex.split(command)
    assert words[:2] == ["temper", "search"]
    given = search.make_context("search", words[2:]).params
    assert (given["study"], given["storage"], given["address"]) == (str(study), "runs", "head:6379")
    assert (given["allow_unauthenticated"], given["warm_start"]) == (True, ("a", "b"))


def test_a_search_of_a_study_made_in_python_is_repeated_by_three_lines(tmp_path: Path) -> None:
    study, run = load_study("digits", {"budget.trials": 12}), Folder(str(tmp_path))
    run.write("study.yaml", yaml.dump(study.model_dump(mode="json"), sort_keys=False).encode())
    lines = python_command(study, run, storage=Path("here"), address=None, warm_start=[]).splitlines()
    assert lines[0] == "import search"
    assert lines[2] == "run = search.run_study(study, storage='here')"
    known: dict[str, object] = {}
    exec("\n".join(lines[:2]), known)  # they are what the report tells people to type
    assert known["study"] == study
    assert python_command(study, Folder("s3://lab/x"), storage="s3://lab").splitlines()[1] == (
        "study = search.load_study('study.yaml')  # a copy of s3://lab/x/study.yaml"
    )
