"""Finds out what one machine has and allows: memory, cards, disk, open files, and which CUDA."""

import os
import re
import resource
import shutil
import subprocess
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from trainables.memory_limit import group_limits

FORMAT = "--format=csv,noheader,nounits"


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
    said = _nvidia_smi("--query", "--display=COMPUTE")
    version = re.search(r"^CUDA Version *: *([\d.]+)", said, re.MULTILINE)
    return version and version[1]


def cards(visible: str | None = None) -> list[tuple[str, int, int]]:
    """Returns name, bytes and free bytes of each card of this node that Ray may place work on.

    They come from `nvidia-smi`, which also shows the cards that Ray has not assigned to this process. A card without
    memory of its own, for which it says [N/A], has 0 bytes, and so has each part of a card that is partitioned (MIG),
    whose memory is told of the whole card.

    Args:
        visible: CUDA_VISIBLE_DEVICES of the process that started Ray; None: it was not set, so that all are.
    """
    asked = _nvidia_smi("--query-gpu=index,uuid,name,mig.mode.current,memory.total,memory.free", FORMAT)
    rows = [[cell.strip() for cell in line.split(",")] for line in asked.splitlines() if line.count(",") >= 5]
    parts = _parts() if any(row[-3] == "Enabled" for row in rows) else {}
    found = []
    for index, uuid, *name, mode, total, free in rows:
        card = ", ".join(name)
        if mode == "Enabled":
            found += [(f"{part} of {card}", 0, 0) for one, part in parts.get(uuid, []) if _is_among(visible, one)]
        elif _is_among(visible, index, uuid):
            found.append((card, _mebibytes(total), _mebibytes(free)))
    return found


def visible_cards() -> str | None:
    """Returns CUDA_VISIBLE_DEVICES of this worker's raylet; None where it was not set, or is not known.

    Ray sets another value in the worker itself.
    """
    with suppress(OSError):
        for entry in Path(f"/proc/{os.getppid()}/environ").read_bytes().split(b"\0"):
            name, _, value = entry.decode(errors="replace").partition("=")
            if name == "CUDA_VISIBLE_DEVICES":
                return value
    return None


def _is_among(visible: str | None, *names: str) -> bool:
    """Returns whether a card is visible by one of its names; of a UUID, the beginning is enough."""
    wanted = [one.strip() for one in (visible or "").split(",") if one.strip()]
    return visible is None or any(
        name == one or (not one.isdecimal() and name.startswith(one)) for name in names for one in wanted
    )


def _parts() -> dict[str, list[tuple[str, str]]]:
    """Returns the parts of partitioned cards, by the card's UUID: the UUID and kind of each."""
    found: dict[str, list[tuple[str, str]]] = {}
    card = ""
    for line in _nvidia_smi("-L").splitlines():
        if whole := re.match(r"GPU \d+: .*\(UUID: (\S+)\)", line):
            card = whole[1]
        elif part := re.match(r"\s+(MIG \S+).*\(UUID: (\S+)\)", line):
            found.setdefault(card, []).append((part[2], part[1]))
    return found


def _nvidia_smi(*arguments: str) -> str:
    """Returns what the tool of NVIDIA's driver prints; nothing where there is no such driver."""
    try:
        done = subprocess.run(["nvidia-smi", *arguments], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _mebibytes(text: str) -> int:
    return int(text) << 20 if text.strip().isdecimal() else 0
