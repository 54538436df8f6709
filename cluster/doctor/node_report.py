"""Collects a report from every node of a cluster: its versions, source, cards, memory, disk, limits and clock."""

import os
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.doctor import machine
from cluster.doctor.machine import (
    cards,
    driver_cuda,
    free_memory,
    open_files,
    rays_disk,
    shared_memory,
    torch_cuda,
    visible_cards,
)
from cluster.doctor.per_node import ask_every_node, ask_nodes, label
from trainables.cpu_limit import usable_cpus
from trainables.errors import first_line

ROUND_TRIPS = 3
_SHIPPED = ("trainables", "cluster")  # the packages that processes on other nodes import


@dataclass(frozen=True)
class Gpu:
    """One GPU as its driver reports it; total and free memory in bytes, 0 where it has no memory of its own."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Report:
    """The report of one node: what is installed there, what hardware it has, and how its clock runs.

    Attributes:
        name: host name, and the first digits of Ray's id of the node.
        versions: package, or `python`, to its version; None where it is not installed.
        source: folder that Temper is imported from; None where it cannot be imported.
        code: hash of the source in that folder; None where it cannot be imported.
        gpus: cards that the NVIDIA driver shows, but for those that CUDA_VISIBLE_DEVICES leaves out.
        promised_gpus: cards that Ray places work on.
        accelerator: Ray's label of the cards' type; None where there is no label.
        slots_cpus: CPUs that Ray places work on.
        free_memory: bytes that new processes can have; None where that is not known.
        cpus: CPUs that the machine has; None where that is not known.
        usable_cpus: CPUs that processes of Ray's may use there; None where that is not known.
        files: files and connections that each of them may have open; None: as many as it likes, or not known.
        disk: folder of Ray's files there, its disk's bytes and those that are free; None where that is not known.
        shared_memory: bytes of /dev/shm; None where there is none.
        object_store: bytes that Ray's object store may take.
        torch_cuda: version of CUDA that PyTorch is built for, empty where for none; None where that is not known.
        driver_cuda: the latest version of CUDA that NVIDIA's driver serves; None where there is no such driver.
        load: processes that ran or waited for a CPU in the last minute, on average; None where that is not known.
        niceness: niceness of Ray's workers there, 0 unless something else was asked for; None where it is not known.
        skew: seconds that the node's clock is ahead of the driver's.
        skew_error: seconds that `skew` may be wrong by, half of a round trip.
    """

    name: str
    versions: Mapping[str, str | None]
    source: str | None
    code: str | None
    gpus: tuple[Gpu, ...] = ()
    promised_gpus: float = 0.0
    accelerator: str | None = None
    slots_cpus: float = 0.0
    free_memory: int | None = None
    cpus: int | None = None
    usable_cpus: int | None = None
    files: int | None = None
    disk: tuple[str, int, int] | None = None
    shared_memory: int | None = None
    object_store: float = 0.0
    torch_cuda: str | None = None
    driver_cuda: str | None = None
    load: float | None = None
    niceness: int | None = None
    skew: float = 0.0
    skew_error: float = 0.0

    @property
    def device(self) -> str:
        """The type of device that trials compute on there: the type of its GPUs, or `CPU` where it has none."""
        return (self.accelerator or "GPU") if self.promised_gpus else "CPU"


def observe(packages: Sequence[str]) -> dict[str, Any]:
    """Returns the fields of `Report` that a process finds out on its own node.

    It imports nothing of Temper, which may be missing on the node.

    Args:
        packages: names of the packages whose versions are reported.
    """

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    found = find_spec("trainables")
    root = Path(found.origin).parent.parent if found is not None and found.origin else None
    try:
        load: float | None = os.getloadavg()[0]
    except OSError:
        load = None
    return {
        "cpus": os.cpu_count(),
        "usable_cpus": usable_cpus(),
        "files": open_files(),
        "disk": rays_disk(),
        "shared_memory": shared_memory(),
        "torch_cuda": torch_cuda(),
        "driver_cuda": driver_cuda(),
        "load": load,
        "niceness": os.nice(0),
        "name": socket.gethostname(),
        "versions": {"python": sys.version.split()[0]} | {package: installed(package) for package in packages},
        "source": str(root) if root else None,
        "code": source_hash(root) if root else None,
        "gpus": cards(visible_cards()),
        "free_memory": free_memory(),
    }


def source_hash(root: Path) -> str:
    """Returns a hash of every module below `root` that a process on another node may import, in whatever folder."""
    files = [path for package in _SHIPPED for path in sorted((root / package).rglob("*.py"))]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def read_clock() -> float:
    """Returns the seconds since the epoch by the clock of the node that it runs on."""
    return time.time()


def this_process(packages: Sequence[str]) -> Report:
    """Returns the report of this process, the driver, which the nodes' reports are compared with."""
    return _node(observe(packages))


def report(packages: Sequence[str]) -> tuple[list[Report], dict[str, str]]:
    """Collects the reports of all nodes; Ray must have been joined.

    Args:
        packages: names of the packages whose versions are reported.

    Returns:
        The reports; then, by name of node, what went wrong on the nodes that gave none.
    """
    import ray
    from ray import cloudpickle

    modules = (sys.modules[__name__], machine)
    for module in modules:
        cloudpickle.register_pickle_by_value(module)  # so that the function also runs on a node without Temper
    try:
        answers, skews = ask_every_node(observe, packages), clocks()
    finally:
        for module in modules:
            cloudpickle.unregister_pickle_by_value(module)
    reports, silent = [], {}
    for node in ray.nodes():
        identity = node["NodeID"]
        if identity not in answers:
            continue
        answer, skew = answers[identity], skews.get(identity, (0.0, 0.0))
        name = label(node)
        if isinstance(answer, Exception):
            silent[name] = first_line(getattr(answer, "cause", None) or answer)  # Ray's own text begins with a heading
            continue
        resources = node["Resources"]
        placed = {
            "name": name,
            "promised_gpus": resources.get("GPU", 0.0),
            "accelerator": (node.get("Labels") or {}).get("ray.io/accelerator-type"),
            "slots_cpus": resources.get("CPU", 0.0),
            "object_store": resources.get("object_store_memory", 0.0),
            "skew": skew[0],
            "skew_error": skew[1],
        }
        reports.append(_node(answer | placed))
    return reports, silent


def clocks() -> dict[str, tuple[float, float]]:
    """Measures how far the clock of each node is ahead of this machine's.

    A clock is assumed to be read in the middle of a round trip, which is wrong by half of it at most; of three round
    trips the shortest is taken.

    Returns:
        Ray's id of each node, to the seconds that its clock is ahead and the seconds that this may be wrong by.
    """
    import ray

    found: dict[str, tuple[float, float]] = {}
    for node in (node["NodeID"] for node in ray.nodes() if node["Alive"]):
        trips = []
        for _ in range(ROUND_TRIPS):
            sent = time.time()
            there = ask_nodes({node: 1}, read_clock)[node]
            received = time.time()
            if isinstance(there, float):
                trips.append(((received - sent) / 2, there - (sent + received) / 2))
        if trips:
            error, skew = min(trips)
            found[node] = skew, error
    return found


def _node(answer: Mapping[str, Any]) -> Report:
    return Report(**{**answer, "gpus": tuple(Gpu(*card) for card in answer["gpus"])})
