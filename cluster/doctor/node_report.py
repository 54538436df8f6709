"""What each node of a cluster says of itself."""

import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cluster.doctor.per_node import ask, ask_each, label

ROUND_TRIPS = 3
_SHIPPED = ("trainables", "cluster")  # the packages that processes on other nodes import


@dataclass(frozen=True)
class Gpu:
    """One card, as its driver reports it; memory in bytes."""

    name: str
    total: int
    free: int


@dataclass(frozen=True)
class Report:
    """What a node reports.

    Attributes:
        name: host and the first digits of Ray's id.
        versions: package, or `python`, to version; None where it is not installed.
        source: folder that Temper is imported from; None where it cannot be.
        code: hash of the source there.
        gpus: cards that the driver shows.
        promised_gpus: cards that Ray places work on.
        accelerator: Ray's label of their type; None without.
        slots_cpus: CPUs that Ray places work on.
        free_memory: bytes that new processes can have; None where it cannot be told.
        skew: seconds that its clock is ahead of the driver's.
        skew_error: seconds that `skew` may be off, half of a round trip.
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
    skew: float = 0.0
    skew_error: float = 0.0

    @property
    def device(self) -> str:
        """The type of device that trials on a GPU, or else on the CPU, compute on."""
        return (self.accelerator or "GPU") if self.promised_gpus else "CPU"


def observe(packages: Sequence[str]) -> dict[str, Any]:
    """What this process can say of its node, as fields of `Report`. Imports nothing of Temper, which may be missing."""

    def installed(package: str) -> str | None:
        try:
            return version(package)
        except PackageNotFoundError:
            return None

    found = find_spec("trainables")
    root = Path(found.origin).parent.parent if found is not None and found.origin else None
    memory = None
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        memory = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        pass  # not Linux
    return {
        "name": socket.gethostname(),
        "versions": {"python": sys.version.split()[0]} | {package: installed(package) for package in packages},
        "source": str(root) if root else None,
        "code": source_hash(root) if root else None,
        "gpus": cards(),
        "free_memory": memory,
    }


def source_hash(root: Path) -> str:
    """Hash of every module below `root` that a process on another node may import, in whatever folder it lies."""
    files = [path for package in _SHIPPED for path in sorted((root / package).rglob("*.py"))]
    return sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]


def read_clock() -> float:
    """Seconds since the epoch, on the node where it runs."""
    return time.time()


def cards() -> list[tuple[str, int, int]]:
    """Name, bytes and free bytes of each card. From the driver's tool, which hides none that Ray has not assigned."""
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rsplit(",", 2) for line in done.stdout.splitlines() if line.count(",") >= 2)
    return [(name.strip(), int(total) << 20, int(free) << 20) for name, total, free in rows]


def this_process(packages: Sequence[str]) -> Report:
    """The driver's own report, to hold the nodes' against."""
    return _node(observe(packages))


def report(packages: Sequence[str]) -> tuple[list[Report], dict[str, str]]:
    """Every node's report, and what went wrong on the nodes that gave none, by name. Ray must have been joined."""
    import ray
    from ray import cloudpickle

    module = sys.modules[__name__]
    cloudpickle.register_pickle_by_value(module)  # a node without Temper can say so
    try:
        answers, skews = ask(observe, packages), clocks()
    finally:
        cloudpickle.unregister_pickle_by_value(module)
    reports, silent = [], {}
    for node in ray.nodes():
        identity = node["NodeID"]
        if identity not in answers:
            continue
        answer, skew = answers[identity], skews.get(identity, (0.0, 0.0))
        name = label(node)
        if isinstance(answer, Exception):
            silent[name] = str(answer).strip().splitlines()[0]
            continue
        resources = node["Resources"]
        placed = {
            "name": name,
            "promised_gpus": resources.get("GPU", 0.0),
            "accelerator": (node.get("Labels") or {}).get("ray.io/accelerator-type"),
            "slots_cpus": resources.get("CPU", 0.0),
            "skew": skew[0],
            "skew_error": skew[1],
        }
        reports.append(_node(answer | placed))
    return reports, silent


def clocks() -> dict[str, tuple[float, float]]:
    """By node, the seconds that its clock is ahead of this one's, and how far that may be off.

    A clock is read in the middle of a round trip, give or take half of it; the shortest of three is taken.
    """
    import ray

    found: dict[str, tuple[float, float]] = {}
    for node in (node["NodeID"] for node in ray.nodes() if node["Alive"]):
        trips = []
        for _ in range(ROUND_TRIPS):
            sent = time.time()
            there = ask_each({node: 1}, read_clock)[node]
            received = time.time()
            if isinstance(there, float):
                trips.append(((received - sent) / 2, there - (sent + received) / 2))
        if trips:
            error, skew = min(trips)
            found[node] = skew, error
    return found


def _node(answer: Mapping[str, Any]) -> Report:
    return Report(**{**answer, "gpus": tuple(Gpu(*card) for card in answer["gpus"])})
