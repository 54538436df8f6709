"""Rooms: which there are, how large they are, what their maps say, and who may import whom."""

import ast
import itertools
import re
import sys
import tomllib
from importlib import import_module
from importlib.metadata import packages_distributions

import pytest

from tests.support.checkout import PACKAGES, ROOT, importable
from tests.support.import_graph import (
    circle,
    files_graph,
    imported,
    module_files,
    module_name,
    room_of,
    rooms_graph,
    table,
)
from tests.support.order import LONGEST, TESTS, is_among_the_longest

# From the ground up: each room may import those before it, and no other.
FLOORS = {
    "trainables": "errors value_forms config user_path memory_limit cpu_limit collector local_files storage "
    "broken_kernels random_states user_errors user_source user_modules user_code models data attacks losses compute "
    "channels pruning compression evaluation ensemble assessment conditions deployment recipe checkpoints training "
    "execution estimation network_check trainable",
    "cluster": "object_cache connection placement doctor",
    "analysis": "run pareto status evidence tables export bundle comparison report results",
    "search": "failures study events recipes remote resume surrogate gain samplers halving monitoring record running "
    "reproduce preflight drafting simulation evaluating confirm tidying api cli __main__",
}
ORDER = [f"{package}.{room}" for package, rooms in FLOORS.items() for room in rooms.split()]
FOLDERS = [room for room in ORDER if (ROOT / room.replace(".", "/")).is_dir()]
NAMED = re.compile(r"`(\w+)`")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_module_is_looked_at(package: str) -> None:
    expected = [ROOT / path for path in importable(package) if path.name != "__init__.py"]
    assert module_files(package) == expected
    assert len(expected) >= 10


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_point_only_downwards(package: str) -> None:
    for path in module_files(package):
        here = ORDER.index(room_of(module_name(path)))
        rooms = {room_of(name) for name in imported(path) if "." in name}
        assert not {room for room in rooms & set(ORDER) if ORDER.index(room) > here}, path


def test_nothing_runs_in_circles() -> None:
    files = files_graph()
    assert circle(files) == []
    assert circle(rooms_graph(files)) == []
    assert len(files) >= 140
    print(table())  # `pytest tests/test_structure.py -s` shows it


def test_rooms_are_known_and_small() -> None:
    there = [room_of(module_name(path)) for package in PACKAGES for path in module_files(package)]
    assert set(there) == set(ORDER)
    for room in ORDER:
        assert there.count(room) in (range(2, 10) if room in FOLDERS else [1]), room


@pytest.mark.parametrize("package", PACKAGES)
def test_a_packages_map_names_every_room_once(package: str) -> None:
    named = NAMED.findall(str(import_module(package).__doc__))
    rooms = set(FLOORS[package].split()) - {"__main__"}
    assert rooms - set(named) == set()
    assert set(named) - rooms <= {"temper"}
    assert len(set(named)) == len(named)


@pytest.mark.parametrize("room", FOLDERS)
def test_a_rooms_map_names_every_file_once_and_imports_nothing(room: str) -> None:
    folder = ROOT / room.replace(".", "/")
    tree = ast.parse((folder / "__init__.py").read_text())
    document = ast.get_docstring(tree) or ""
    files = [line[len("- ") : line.index(":")] for line in document.splitlines() if line.startswith("- `")]
    named = NAMED.findall(", ".join(files))
    assert sorted(named) == sorted({path.stem for path in folder.glob("*.py")} - {"__init__"})
    if room != "search.cli":  # it hands on `main`, which the installed command names
        assert len(tree.body) == 1


def test_only_who_may_knows_ray_and_optuna() -> None:
    def knowing(package: str, *others: str) -> list[str]:
        return [
            module_name(path)
            for path in module_files(package)
            if {name.partition(".")[0] for name in imported(path)} & set(others)
        ]

    assert knowing("trainables", "ray") == ["trainables.trainable"]
    assert knowing("analysis", "ray", "optuna", "search") == []
    assert knowing("trainables", "optuna") == []
    assert knowing("cluster", "optuna", "torch", "search") == []
    assert not [name for name in knowing("search", "ray", "optuna", "torch") if name.startswith("search.study.")]


def test_what_is_imported_is_declared() -> None:
    """A package that comes along with another one today may not do so tomorrow."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    known = {re.split(r"[\[<>=]", one)[0].lower() for one in declared} | {"pydantic-core"}  # which is pydantic itself
    provided = packages_distributions()
    tops = {
        name.partition(".")[0] for package in PACKAGES for path in module_files(package) for name in imported(path)
    } - {*PACKAGES, *sys.stdlib_module_names}
    assert len(tops) > 20
    assert not {top for top in tops if not {one.lower().replace("_", "-") for one in provided.get(top, [])} & known}


def test_only_confirming_and_evaluating_open_the_test_split() -> None:
    """Search and training are given splits that hold no test images; these files alone can read them."""
    readers = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in module_files(package)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and node.id == "load_test"
    }
    assert readers == {"search/confirm/confirm.py", "trainables/data/other_data.py", "search/evaluating/subjects.py"}


def test_what_docstrings_refer_to_is_there() -> None:
    references = {
        reference
        for package in PACKAGES
        for path in module_files(package)
        for reference in re.findall(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)`", path.read_text())
    }
    missing = [reference for reference in sorted(references) if not _exists(reference)]
    assert missing == []
    assert len(references) >= 10


def _exists(reference: str) -> bool:
    """Whether a dotted name is a module, or a name that one defines."""
    module, _, name = reference.rpartition(".")
    try:
        import_module(reference)
    except ModuleNotFoundError:
        return hasattr(import_module(module), name)
    return True


def test_the_longest_tests_are_there_and_begin_first(request: pytest.FixtureRequest) -> None:
    assert [name for name in LONGEST if not (TESTS / name).is_file()] == []
    assert len(LONGEST) == 3
    first = [is_among_the_longest(item) for item in request.session.items]
    assert first == sorted(first, reverse=True)


def test_what_is_thorough_or_alone_is_slow(request: pytest.FixtureRequest) -> None:
    special = [
        item for item in request.session.items if {"thorough", "alone"} & {one.name for one in item.iter_markers()}
    ]
    assert [item.nodeid for item in special if item.get_closest_marker("slow") is None] == []
