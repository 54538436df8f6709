"""Finds out what one machine has and allows: memory, cards, disk, open files, and which CUDA."""

import re
import resource
import shutil
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from trainables.memory_limit import group_limits


def free_memory(root: Path = Path("/")) -> int | None:
    """Returns the bytes that new processes can have, of the machine or of its control groups; None where nothing tells.

    Args:
        root: the folder that has proc/ and sys/, for tests.
    """
    free = []
    try:
        lines = dict(line.split(":", 1) for line in (root / "proc/meminfo").read_text().splitlines())
        free.append(int(lines["MemAvailable"].split()[0]) * 1024)
    except (OSError, KeyError):
        pass  # not Linux
    free += [max(0, limit - used) for limit, used in group_limits(root)]
    return min(free, default=None)


def open_files() -> int | None:
    """Returns how many files this process may have open; None where there is no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def rays_disk() -> tuple[str, int, int] | None:
    """Returns the folder of Ray's files on this node, and its disk's bytes and free bytes; None outside of Ray."""
    from ray._private import worker

    node = worker._global_node
    with suppress(OSError, AttributeError):  # no session has begun, or a client's, whose folder lies elsewhere
        folder = Path(str(node.get_session_dir_path())).parent
        usage = shutil.disk_usage(folder)
        return str(folder), usage.total, usage.free
    return None


def shared_memory(place: str = "/dev/shm") -> int | None:
    """Returns the bytes that the folder of shared memory may hold; None where there is none."""
    try:
        return shutil.disk_usage(place).total
    except OSError:
        return None


def torch_cuda() -> str | None:
    """Returns the CUDA that PyTorch is built for, empty where for no card; None where it is not known, or AMD's.

    PyTorch is not imported for it, which would take seconds.
    """
    found = find_spec("torch")
    try:
        told = (Path(str(found and found.origin)).parent / "version.py").read_text()
    except OSError:
        return None
    built = dict(re.findall(r"^(cuda|hip)\b.*= *(?:None|'([\d.]*).*')$", told, re.MULTILINE))
    return None if "cuda" not in built or built.get("hip") else built["cuda"]


def driver_cuda() -> str | None:
    """Returns the latest CUDA that this node's NVIDIA driver serves; None where there is none."""
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query", "--display=COMPUTE"], capture_output=True, text=True, timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"^CUDA Version *: *([\d.]+)", done.stdout, re.MULTILINE)
    return version and version[1]


def cards() -> list[tuple[str, int, int]]:
    """Returns name, bytes and free bytes of each card of this node.

    They come from `nvidia-smi`, which also shows the cards that Ray has not assigned to this process. A card without
    memory of its own, for which it says [N/A], has 0 bytes.
    """
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    rows = (line.rsplit(",", 2) for line in done.stdout.splitlines() if line.count(",") >= 2)
    return [(name.strip(), _mebibytes(total), _mebibytes(free)) for name, total, free in rows]


def _mebibytes(text: str) -> int:
    return int(text) << 20 if text.strip().isdecimal() else 0
