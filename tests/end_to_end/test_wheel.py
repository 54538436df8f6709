"""What an installed Temper holds: all of the four packages, with their data."""

import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from setuptools import find_packages

from tests.support.checkout import PACKAGES, ROOT, importable

# What a checkout serves and an installed Temper does not need, by the folder or file that holds it.
LEFT_OUT = ("analysis/examples/*", "cluster/README.md", "cluster/launchers/*", "cluster/grafana/*")


@pytest.fixture(scope="module")
def settings() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_module_is_in_a_package_that_the_wheel_takes(settings: Any) -> None:
    taken = set(find_packages(str(ROOT), include=settings["packages"]["find"]["include"]))
    modules = [path for package in PACKAGES for path in importable(package)]
    left = [path for path in modules if ".".join(path.parent.parts) not in taken]
    assert not left
    assert len(modules) >= 100


def test_every_data_file_is_taken(settings: Any) -> None:
    patterns = [
        f"{package.replace('.', '/')}/{pattern}"
        for package, patterns in settings["package-data"].items()
        for pattern in patterns
    ]
    data = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    ]
    kept = [name for name in data if not any(fnmatch(name, pattern) for pattern in LEFT_OUT)]
    assert [name for name in kept if not any(fnmatch(name, pattern) for pattern in patterns)] == []
    for pattern in patterns:
        assert any(fnmatch(name, pattern) for name in kept), pattern
    assert {Path(name).suffix for name in kept} == {".yaml", ".parquet", ".j2", ".css", ".js", ".typed"}
    assert len(kept) >= 15


def test_every_package_says_that_it_is_typed() -> None:
    assert [package for package in PACKAGES if not (ROOT / package / "py.typed").is_file()] == []
