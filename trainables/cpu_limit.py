"""Tells how many CPUs this process may use: the machine's, or fewer where an affinity or a control group says so.

Slurm, taskset, numactl and Docker's --cpuset-cpus limit a process to some CPUs; Docker's --cpus, Kubernetes and systemd
limit the time that it gets on all of them. Ray sees the second kind alone, and only at the top of the control groups:
on a machine of 256 CPUs, of which Slurm gives a job four, it would run 256 trials at once.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from trainables.memory_limit import ROOT, group_folders


def usable_cpus(root: Path = ROOT) -> int:
    """Returns how many CPUs this process and those that it starts may use at once, at least 1.

    Args:
        root: the folder that has proc/ and sys/, for tests.
    """
    return max(1, int(min([_allowed(), *_quotas(root)])))


def _allowed() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[float]:
    """Yields the CPUs' worth of time that each control group allows; groups without a limit are left out."""
    for place, version in group_folders("cpu", root):
        with suppress(OSError, ValueError):  # no such group, or `max`: no limit
            if version == 2:
                quota, period = map(int, (place / "cpu.max").read_text().split())
            else:
                quota, period = (int((place / f"cpu.cfs_{one}_us").read_text()) for one in ("quota", "period"))
            if quota > 0:  # -1 is no limit in version 1
                yield quota / period
