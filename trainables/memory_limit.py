"""Tells how much memory this process may use: the machine's, or what its control groups allow where that is less.

Containers, Slurm, systemd and Kubernetes limit memory by control groups. A process in a container sees its own group at
the top; one that Slurm or systemd has started sees it somewhere below, as /proc/self/cgroup says. The limits of all
groups above hold as well.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

GROUPS = "sys/fs/cgroup"
ROOT = Path("/")
_FILES = {  # of a group: its limit, its usage, and in memory.stat what can be dropped
    2: ("memory.max", "memory.current", "inactive_file"),
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def memory_limit(root: Path = ROOT) -> int:
    """Returns the bytes of memory that this process and those beside it may use.

    Args:
        root: the folder that has proc/ and sys/, for tests.
    """
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([whole, *(limit for limit, _ in group_limits(root))])


def group_limits(root: Path = ROOT) -> list[tuple[int, int]]:
    """Returns the limit of each control group that this process is in and the memory in use there, in bytes.

    Files that the kernel keeps in memory, and drops where memory is needed, do not count as in use. Groups without a
    limit are left out; on a system without control groups, the list is empty.
    """
    found = []
    for place, version in group_folders("memory", root):
        limit, used, dropped = _FILES[version]
        with suppress(OSError, ValueError):  # no such group, or `max`: no limit
            most = int((place / limit).read_text())
            found.append((most, max(0, int((place / used).read_text()) - _entry(place / "memory.stat", dropped))))
    return found


def group_folders(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """Yields the folder of each control group that limits this process, and the version of its control groups.

    Those of version 2 lie below sys/fs/cgroup, or below unified/ where version 1 is used beside it.

    Args:
        controller: what the groups limit, by the name of version 1: `memory` or `cpu`.
        root: the folder that has proc/ and sys/, for tests.
    """
    inside = {
        "": PurePosixPath("/"),
        controller: PurePosixPath("/"),
    }  # the group's path by its controller; "": version 2
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            inside.update({name: PurePosixPath(path) for name in controllers.split(",") if name in inside})
    for top in ("", "unified"):
        for place in _upwards(root / GROUPS / top, inside[""]):
            yield place, 2
    for place in _upwards(root / GROUPS / controller, inside[controller]):
        yield place, 1


def _upwards(top: Path, path: PurePosixPath) -> Iterator[Path]:
    """Yields the folder of a group and those of all groups above it."""
    for one in (path, *path.parents):
        yield top / str(one).lstrip("/")


def _entry(statistics: Path, name: str) -> int:
    with suppress(OSError, ValueError, KeyError):
        return int(dict(line.split() for line in statistics.read_text().splitlines())[name])
    return 0
