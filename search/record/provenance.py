"""Where a run came from: code, versions, machine and command, as run.json keeps them."""

import os
import platform
import sys
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cluster.connection.runtime_env import LOCK, checkout, commit

PACKAGES = ("ray", "torch", "torchvision", "optuna", "torch-pruning", "numpy", "pandas", "scikit-learn")


def environment(threads: int, device: str) -> dict[str, Any]:
    """What decides whether a recipe gives bitwise the same numbers again."""
    return {
        "threads": threads,
        "device": device,
        "machine": platform.machine(),
        "processor": processor(),
        "python": platform.python_version(),
        "torch": version("torch"),
        "torch-pruning": version("torch-pruning"),
    }


def provenance(command: str) -> dict[str, Any]:
    """Where a run came from. The git commit is that of the code, and None outside a checkout."""
    lock = checkout() / LOCK
    return {
        "command": command,
        "started": now(),
        "git_commit": head[0] if (head := commit()) else None,
        "git_dirty": "dirty" in head,
        "lock_sha256": sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        "versions": {"temper": temper_version(), "python": sys.version.split()[0]}
        | {name: version(name) for name in PACKAGES},
        "hardware": {"machine": platform.platform(), "processor": processor(), "cpus": os.cpu_count()},
    }


def temper_version() -> str | None:
    """Of the installed package; None where the code was shipped without being installed, as to a cluster's nodes."""
    try:
        return version("temper-search")
    except PackageNotFoundError:
        return None


def now() -> str:
    """This moment in UTC, as ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def processor() -> str:
    """The processor's name: Linux tells it in /proc, others through platform."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
