"""The user's own functions: every one that a configuration names is found, whatever it is."""

from pathlib import Path
from typing import Literal

import pytest

from search.study.loading import load, shipped
from trainables.config import Frozen
from trainables.user_code import references, source_files


class Part(Frozen):
    kind: str = "pgd"
    epsilon: float = 0.1


class Whole(Frozen):
    """Stands for a study in which attacks and compressors, too, may be the user's own."""

    name: str = "mine"
    description: str = "not:one"
    model: dict[str, str]
    method: str = "channel_pruning"
    kind: Literal["whole"] = "whole"
    parts: tuple[Part, ...] = ()
    choices: dict[str, tuple[str, ...]] = {}


def test_references_are_found_wherever_they_are_named() -> None:
    whole = Whole(
        model={"name": "torchvision:resnet18"},
        method="own.compressors:prune",
        parts=(Part(), Part(kind="own_attacks:shift")),
        choices={"kind": ("pgd", "own_attacks:turn"), "path": ("not:one",)},
    )
    assert references(whole) == {
        "method": "own.compressors:prune",
        "parts.1.kind": "own_attacks:shift",
        "choices.kind.1": "own_attacks:turn",
    }


def test_a_study_names_its_own_data_and_network_and_a_shipped_one_names_none() -> None:
    own = load("digits", ["model.name=nets.small:build", "data={name: images:load, validation_size: 100}"])
    assert references(own) == {"data.name": "images:load", "model.name": "nets.small:build"}
    shipped_ones = [references(load(name)) for name in shipped()]
    assert shipped_ones == [{}] * len(shipped_ones)
    assert len(shipped_ones) >= 8


def test_a_package_without_init_is_found_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "loose_package").mkdir()
    (tmp_path / "loose_package" / "nets.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert source_files("loose_package.nets:build") == {"loose_package/nets.py": tmp_path / "loose_package" / "nets.py"}
    assert source_files("nowhere_package:build") == {}
    assert source_files("sys:exit") == {}  # built in: no file
