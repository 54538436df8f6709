"""Finds the source files of the user's modules, and of those beside them that they import. Imports nothing."""

import ast
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

OURS = frozenset({"analysis", "cluster", "search", "trainables"})
INSTALLED = frozenset({"site-packages", "dist-packages"})
_STANDARD = Path(os.__file__).parent


def place_of(spec: ModuleSpec) -> Path | None:
    """Returns the file of a module, or the folder if it is a package; None if it lies in no file."""
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.has_location and spec.origin is not None else None


def is_installed(place: Path) -> bool:
    """Returns whether a file or folder is an installed package's or the standard library's."""
    return bool(INSTALLED & set(place.parts)) or _STANDARD in place.parents


def modules_beside(place: Path) -> list[Path]:
    """Returns the modules beside a module that it imports, directly or through each other, itself first.

    Of an installed module it is that module alone: what lies beside it is not the user's, and is very much.

    Args:
        place: a file, or the folder of a package.

    Returns:
        Files, and folders of packages. They are found in the source, and nothing is imported.
    """
    found = [place]
    for one in [] if is_installed(place) else found:
        for name in sorted(imported_names(one) - {one.stem}):
            spec = PathFinder.find_spec(name, [str(place.parent)])
            beside = None if spec is None or name in OURS or _gives_way(spec) else place_of(spec)
            if beside is not None and beside.parent == place.parent and beside not in found:
                found.append(beside)
    return found


def _gives_way(spec: ModuleSpec) -> bool:
    """Returns whether it is a folder without `__init__.py`, and an installed module has its name: Python takes that.

    Such a folder holds logs or images, as of TensorBoard or of Hugging Face's `datasets`.
    """
    if spec.origin is not None:
        return False
    installed = [path for path in sys.path if INSTALLED & set(Path(path).parts)]
    other = PathFinder.find_spec(spec.name, installed)
    return spec.name in sys.stdlib_module_names or (other is not None and other.origin is not None)


def imported_names(place: Path) -> set[str]:
    """Returns the top-level names that a file, or any file of a package, imports; a file with errors imports none."""
    names: set[str] = set()
    for path in source_of(place):
        try:
            tree = ast.parse(path.read_bytes())
        except (OSError, SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


def source_of(place: Path) -> list[Path]:
    """Returns the source files of a module: its one file, or all of its package.

    Python imports no hidden ones, such as Jupyter's copies in .ipynb_checkpoints, and no links that lead nowhere, such
    as Emacs's locks.
    """
    if not place.is_dir():
        return [place]
    found = (path for path in place.rglob("*.py") if path.is_file())
    return sorted(one for one in found if not any(part.startswith(".") for part in one.relative_to(place).parts))
