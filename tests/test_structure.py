"""The maps of the packages, and who may import whom."""

import ast
import re
from pathlib import Path

import pytest

import cluster
import search

FLOORS = ("trainables", "cluster", "analysis", "search")  # each may import those before it
ROOT = Path(search.__file__).parent.parent


@pytest.mark.parametrize("package", [search, cluster])
def test_a_packages_map_names_every_module_once(package: object) -> None:
    folder = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    named = re.findall(r"`(\w+)`", str(package.__doc__))
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert modules - set(named) == set()
    assert set(named) - modules <= {"temper"}
    assert len(set(named)) == len(named)


def imported(path: Path) -> set[str]:
    """The packages that a module names in imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def test_imports_point_only_downwards() -> None:
    paths = {floor: sorted((ROOT / floor).glob("*.py")) for floor in FLOORS}
    assert all(paths.values())
    for number, floor in enumerate(FLOORS):
        for path in paths[floor]:
            assert not imported(path) & set(FLOORS[number + 1 :]), path


def test_only_who_may_knows_ray_and_optuna() -> None:
    knows_ray = {
        path for floor in ("trainables", "analysis") for path in (ROOT / floor).glob("*.py") if "ray" in imported(path)
    }
    assert knows_ray == {ROOT / "trainables" / "trial.py"}
    for floor in ("trainables", "cluster", "analysis"):
        assert not [path for path in (ROOT / floor).glob("*.py") if "optuna" in imported(path)]
    assert not [path for path in (ROOT / "cluster").glob("*.py") if {"torch", "search"} & imported(path)]
