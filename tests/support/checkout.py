"""What the four packages hold, counted by asking Python what can be imported: no guard that is tested counts so."""

from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import search

PACKAGES = ("trainables", "cluster", "analysis", "search")  # each may import those before it
ROOT = Path(search.__file__).parent.parent


def importable(package: str) -> list[Path]:
    """The files of all modules of a package, relative to the checkout; the packages in it are files named __init__."""
    top = import_module(package)
    found = [Path(package) / "__init__.py"]
    for module in walk_packages(top.__path__, f"{package}."):
        place = Path(*module.name.split("."))
        found.append(place / "__init__.py" if module.ispkg else place.with_suffix(".py"))
    return sorted(found)
