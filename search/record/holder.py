"""Tells who holds a run: the driver's process in words, and whether it still lives, where this can be known."""

import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from search.record.claim import claims
from trainables.storage import Folder

GONE, STOPPED, RUNNING = "gone", "stopped", "running"


def this_process() -> dict[str, Any]:
    """Return what identifies this process: host, boot of its kernel, namespace of process numbers, number and start."""
    return {
        "host": socket.gethostname(),
        "boot": _boot(),
        "namespace": _namespace(),
        "pid": os.getpid(),
        "started": (_state(os.getpid()) or ("", None))[1],
    }


def state_of(holder: Mapping[str, Any]) -> str | None:
    """Return whether a process runs, is stopped or is gone; None where that cannot be known from here.

    It is known on the same kernel and in the same namespace of process numbers, which Linux tells. A process of the
    same number that started at another time is another process.

    Args:
        holder: what `this_process` returned in that process.
    """
    if _boot() is None or holder.get("boot") != _boot() or holder.get("namespace") != _namespace():
        return None
    try:
        found = _state(int(holder["pid"]))
    except (KeyError, TypeError, ValueError):
        return None
    if found is None or found[1] != holder.get("started") or found[0] in ("Z", "X"):
        return GONE
    return STOPPED if found[0] in ("T", "t") else RUNNING


def words(holder: Mapping[str, Any]) -> str:
    """Return who a process is, for people: its number and its machine, as far as they are known."""
    return f"process {holder.get('pid', 'unknown')} on {holder.get('host', 'an unknown machine')}"


def _boot() -> str | None:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def _namespace() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _state(pid: int) -> tuple[str, int] | None:
    """Return a process's state in the kernel's letter, and when it started in ticks since boot; None if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], int(fields[19])


def holder_of(place: Folder) -> dict[str, Any]:
    """Read who claimed a term of a lease; empty where the claim is torn."""
    with suppress(OSError, ValueError, TypeError):
        return dict(place.read_json(claims(place)[0]))
    return {}
