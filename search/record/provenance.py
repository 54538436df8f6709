"""Collects where a run came from, for run.json: the code's commit, versions, machine and command."""

import os
import platform
import shlex
import sys
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any

from cluster.connection.runtime_env import LOCK, checkout, commit, temper_version
from trainables.storage import Folder

PACKAGES = ("ray", "torch", "torchvision", "optuna", "numpy", "pandas", "scikit-learn")


def environment(threads: int, device: str) -> dict[str, Any]:
    """Return all that decides whether a recipe, run again, gives bitwise the same numbers.

    Args:
        threads: number of CPU threads of each trial.
        device: PyTorch's name of the device, `cpu` or `cuda`.
    """
    found: dict[str, Any] = {
        "threads": threads,
        "device": device,
        "machine": platform.machine(),
        "processor": processor(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    return found if device == "cpu" else found | {"cards": cards()}


def provenance(command: str) -> dict[str, Any]:
    """Return where a run came from. The git commit is that of Temper's code, and None outside a checkout.

    Args:
        command: the command as it was typed, or what repeats it.
    """
    lock = checkout() / LOCK
    return {
        "command": command,
        "started": now(),
        "git_commit": head[0] if (head := commit()) else None,
        "git_dirty": "dirty" in head,
        "lock_sha256": sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "versions": {"temper": temper_version(), "python": sys.version.split()[0]}
        | {name: version(name) for name in PACKAGES},
        "hardware": {
            "machine": platform.platform(),
            "processor": processor(),
            "cpus": os.cpu_count(),
            "cards": cards(),
        },
    }


def python_command(study: object, run: Folder, **given: object) -> str:
    """Return what repeats a search that was started from Python: a command, or three lines of Python.

    Args:
        study: what was given as the study: a shipped one's name or a file, which a command can name; of any other the
            run's own study.yaml holds every key.
        run: the run directory.
        given: the other arguments, by name; those that are empty are left out.
    """
    given = {name: value for name, value in given.items() if value}
    if isinstance(study, str | PathLike):
        words = ["temper", "search", os.path.expanduser(study)]
        for name, value in given.items():
            flag = f"--{name.replace('_', '-')}"
            several = value if isinstance(value, list | tuple) else [value]
            words += [flag] if value is True else [word for one in several for word in (flag, str(one))]
        return shlex.join(words)
    arguments = ", ".join(["study", *(f"{name}={_written(value)}" for name, value in given.items())])
    file = f"{run}/study.yaml"
    where = "" if run.local is not None else f"  # a copy of {file}"
    named = file if run.local is not None else "study.yaml"
    return f"import search\nstudy = search.load_study({named!r}){where}\nrun = search.run_study({arguments})"


def _written(value: object) -> str:
    """Return an argument as Python has it; paths as texts."""
    if isinstance(value, list | tuple):
        return repr([str(one) for one in value])
    return repr(str(value) if isinstance(value, PathLike) else value)


def now() -> str:
    """Return the current time in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def cards(driver: Path = Path("/proc/driver/nvidia/gpus")) -> list[str]:
    """Return the names of this machine's NVIDIA cards, from their driver; that takes no memory of a card.

    Args:
        driver: where the driver tells of its cards.
    """
    told = [line for path in sorted(driver.glob("*/information")) for line in path.read_text().splitlines()]
    return [line.split(":", 1)[1].strip() for line in told if line.startswith("Model")]


def processor() -> str:
    """Return the processor's name, from /proc on Linux and from Python's `platform` elsewhere."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
