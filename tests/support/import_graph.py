"""Who imports whom: the modules of the four packages as a graph, its floors and its circles."""

import ast
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests.support.checkout import PACKAGES, ROOT

Graph = Mapping[str, set[str]]  # name to the names that it imports


@dataclass(frozen=True)
class Counts:
    """What a newcomer holds in mind at once: things to see, floors of them, arrows between them."""

    rooms: int
    files: int
    floors: int
    arrows: int


def module_files(package: str) -> list[Path]:
    """Every module of a package, in whatever folder it lies; the packages' own maps are not modules."""
    return [path for path in sorted((ROOT / package).rglob("*.py")) if path.name != "__init__.py"]


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def room_of(module: str) -> str:
    """The room that a module lies in; a file beside the rooms is one of its own."""
    return ".".join(module.split(".")[:2])


@cache  # several tests ask for all modules
def imported(path: Path) -> frozenset[str]:
    """All that a module names in imports, wherever in it; `from a import b` may name a module: `a` and `a.b`."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def files_graph() -> Graph:
    """Each module to the modules of the four packages that it imports."""
    paths = {module_name(path): path for package in PACKAGES for path in module_files(package)}
    return {name: {*imported(path)} & {*paths} - {name} for name, path in paths.items()}


def rooms_graph(files: Graph) -> Graph:
    """Each room to the other rooms that its modules import."""
    rooms: dict[str, set[str]] = {}
    for name, others in files.items():
        rooms.setdefault(room_of(name), set()).update(
            room_of(other) for other in others if room_of(other) != room_of(name)
        )
    return rooms


def circle(graph: Graph) -> list[str]:
    """The names along one circle; none where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def floors(graph: Graph) -> dict[str, int]:
    """The floor of each name: 1 where it imports nothing, else one above the highest that it imports."""
    found: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        found[name] = 1 + max((found[other] for other in graph[name]), default=0)
    return found


def within(graph: Graph, names: Iterable[str]) -> Graph:
    """The part of a graph that lies between some of its names."""
    kept = set(names)
    return {name: graph[name] & kept for name in sorted(kept)}


def counts(package: str, rooms: Graph) -> Counts:
    """What one package shows."""
    mine = within(rooms, (room for room in rooms if room.startswith(f"{package}.")))
    folders = [room for room in mine if (ROOT / room.replace(".", "/")).is_dir()]
    return Counts(len(folders), len(mine) - len(folders), max(floors(mine).values()), sum(map(len, mine.values())))


def table() -> str:
    """Rooms, files beside them, floors and arrows of each package; files, arrows and floors of the whole house."""
    files = files_graph()
    rooms = rooms_graph(files)
    lengths = sorted(len(path.read_text().splitlines()) for package in PACKAGES for path in module_files(package))
    lines = [f"{'':12}{'rooms':>6}{'files beside':>14}{'floors':>8}{'arrows':>8}"]
    for package in PACKAGES:
        one = counts(package, rooms)
        lines.append(f"{package:12}{one.rooms:>6}{one.files:>14}{one.floors:>8}{one.arrows:>8}")
    lines.append(
        f"files {len(files)}; lines of one {lengths[len(lengths) // 2]} (median), {lengths[-1]} (longest); "
        f"arrows between files {sum(map(len, files.values()))}, floors of files {max(floors(files).values())}; "
        f"circles between files {len(circle(files))}, between rooms {len(circle(rooms))}"
    )
    return "\n".join(lines)
