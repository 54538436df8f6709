"""Collects the code that other machines run: Temper's four packages, and further files beside them."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import trainables
from trainables.user_code import TRUSTED
from trainables.user_modules import SHIPPED, WORKING_FOLDER, hides_others

PACKAGES = ("analysis", "cluster", "search", "trainables")
LOCK = "requirements.lock"
# Ray leaves out what ignore files name, in whatever folder they lie: what is to be sent would be missing there.
_NOT_SENT = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", ".gitignore", ".rayignore")
# Where OMP_PROC_BIND, OMP_PLACES or GOMP_CPU_AFFINITY is set, as on many Slurm clusters, each process that imports
# PyTorch binds itself to the first of its CPUs: all trials of a node would share that one.
UNBOUND = {"OMP_PROC_BIND": "false"}
COMMIT = "TEMPER_GIT_COMMIT"  # holds the commit, and `dirty` after it if files differ, since .git is not sent along


def checkout() -> Path:
    """Returns the folder of the four packages: a checkout, or site-packages where a wheel is installed."""
    return Path(trainables.__file__).parent.parent


@contextmanager
def runtime_env(beside: Mapping[str, Path | bytes] | None = None) -> Iterator[dict[str, Any]]:
    """Builds a Ray runtime environment whose working directory is the code that runs here, and nothing else.

    What is the user's lies in a folder of its own, `user_code`, to which processes go once Temper's code is imported:
    in the working directory itself a module json.py of theirs would be taken for the standard library's.

    The run directories, the virtual environment and all other files of the checkout are not sent. The working directory
    is temporary, and is removed when the context ends.

    Args:
        beside: files or folders of the user's to send, by the name they get there: a path, or a file's content.
    """
    root = checkout()
    with tempfile.TemporaryDirectory(prefix="temper-runtime_env-") as place:
        folder = Path(place)
        for package in PACKAGES:
            shutil.copytree(root / package, folder / package, ignore=_NOT_SENT)
        if (root / LOCK).exists():
            shutil.copy(root / LOCK, folder / LOCK)
        theirs = folder / SHIPPED
        for name, what in (beside or {}).items():
            (theirs / name).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(what, bytes):
                (theirs / name).write_bytes(what)
            elif what.is_dir():
                shutil.copytree(
                    what,
                    theirs / name,
                    ignore=_NOT_SENT,
                    ignore_dangling_symlinks=True,
                    dirs_exist_ok=True,
                )
            else:
                shutil.copy(what, theirs / name)
        told = {TRUSTED: os.environ[TRUSTED]} if TRUSTED in os.environ else {}
        told |= UNBOUND | ({WORKING_FOLDER: SHIPPED} if beside else {})
        yield {"working_dir": str(folder), "env_vars": {COMMIT: " ".join(commit()), **told}}


def shielded(folder: Path) -> dict[str, Any] | None:
    """Returns the runtime environment of a local session that is started where modules hide those of others.

    Ray puts the working directory first on the path of every worker, where a file search.py would be taken for
    Temper's package, and a file yaml.py for the installed one. Workers are therefore started in an empty folder, and go
    back once Temper's code is imported.

    Args:
        folder: a folder of this session, in which the empty one is made.

    Returns:
        The runtime environment; None where no such module lies in the working directory, since it costs a second.
    """
    here, root = Path.cwd(), checkout()
    if here == root or not hides_others(here):
        return None
    empty = folder / "start"
    empty.mkdir()
    (empty / "README").write_text("Workers are started here.\n")  # Ray refuses to send an empty folder
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {"working_dir": str(empty), "env_vars": {"PYTHONPATH": path, WORKING_FOLDER: str(here)}}


def temper_version() -> str | None:
    """Returns the installed package's version; None where the code is not installed, as on nodes that Ray ships to."""
    try:
        return version("temper-search")
    except PackageNotFoundError:
        return None


def commit() -> tuple[str, ...]:
    """Returns the git commit of the code that runs here, then `dirty` if a tracked file differs from it.

    The result is empty where the code lies in no checkout.
    """
    if (told := os.environ.get(COMMIT)) is not None:
        return tuple(told.split())
    root = checkout()
    if not _git(root, "ls-files", "trainables/__init__.py"):  # site-packages may lie inside another repository
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
