"""What other machines are given to run: this checkout, and files beside it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trainables
from trainables.user_code import TRUSTED

PACKAGES = ("analysis", "cluster", "search", "trainables")
LOCK = "requirements.lock"
COMMIT = "TEMPER_GIT_COMMIT"  # of the checkout, and `dirty` if it has changes: git is not shipped


def checkout() -> Path:
    """The folder that holds the four packages: a checkout, or site-packages where Temper is installed from a wheel."""
    return Path(trainables.__file__).parent.parent


@contextmanager
def runtime_env(beside: Mapping[str, Path | bytes] | None = None) -> Iterator[dict[str, Any]]:
    """A Ray runtime environment whose working directory is the code that runs here, and nothing else.

    Neither runs, nor the environment, nor whatever else lies in the checkout is sent.

    Args:
        beside: further files or folders by name: where they lie, or their content.
    """
    root = checkout()
    with tempfile.TemporaryDirectory(prefix="temper-runtime_env-") as place:
        folder = Path(place)
        for package in PACKAGES:
            shutil.copytree(root / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
        if (root / LOCK).exists():
            shutil.copy(root / LOCK, folder / LOCK)
        for name, what in (beside or {}).items():
            if isinstance(what, bytes):
                (folder / name).write_bytes(what)
            elif what.is_dir():
                shutil.copytree(what, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(what, folder / name)
        told = {TRUSTED: os.environ[TRUSTED]} if TRUSTED in os.environ else {}
        yield {"working_dir": str(folder), "env_vars": {COMMIT: " ".join(commit()), **told}}


def commit() -> tuple[str, ...]:
    """The git commit of the code that runs here, and `dirty` if a tracked file differs; empty outside a checkout."""
    if (told := os.environ.get(COMMIT)) is not None:
        return tuple(told.split())
    root = checkout()
    if not _git(root, "ls-files", "trainables/__init__.py"):  # another repository may lie around site-packages
        return ()
    head = _git(root, "rev-parse", "HEAD")
    if not head:
        return ()
    return (head, "dirty") if _git(root, "status", "--porcelain", "--untracked-files=no") else (head,)


def _git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
