"""The maps of the packages, and who may import whom."""

import ast
import re
from pathlib import Path

import pytest
from checkout import PACKAGES, ROOT, importable
from order import LONGEST, TESTS, is_among_the_longest

import cluster
import search


def files(package: str) -> list[Path]:
    """Every module of a package, in whatever folder it lies; the packages' own maps are not modules."""
    return [path for path in sorted((ROOT / package).rglob("*.py")) if path.name != "__init__.py"]


def imported(path: Path) -> set[str]:
    """The packages that a module names in imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_looked_at(package: str) -> None:
    expected = [ROOT / path for path in importable(package) if path.name != "__init__.py"]
    assert files(package) == expected
    assert len(expected) >= 10


@pytest.mark.parametrize("package", [search, cluster])
def test_a_packages_map_names_every_module_once(package: object) -> None:
    folder = Path(str(package.__file__)).parent  # type: ignore[attr-defined]
    named = re.findall(r"`(\w+)`", str(package.__doc__))
    modules = {path.stem for path in files(folder.name)} - {"__main__"}
    assert modules - set(named) == set()
    assert set(named) - modules <= {"temper"}
    assert len(set(named)) == len(named)


def test_imports_point_only_downwards() -> None:
    for number, package in enumerate(PACKAGES):
        for path in files(package):
            assert not imported(path) & set(PACKAGES[number + 1 :]), path


def test_only_who_may_knows_ray_and_optuna() -> None:
    knows_ray = {path for package in ("trainables", "analysis") for path in files(package) if "ray" in imported(path)}
    assert knows_ray == {ROOT / "trainables" / "trial.py"}
    for package in ("trainables", "cluster", "analysis"):
        assert not [path for path in files(package) if "optuna" in imported(path)]
    assert not [path for path in files("cluster") if {"torch", "search"} & imported(path)]


def test_the_longest_tests_are_there_and_begin_first(request: pytest.FixtureRequest) -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    assert len(LONGEST) == 2
    first = [is_among_the_longest(item) for item in request.session.items]
    assert first == sorted(first, reverse=True)
