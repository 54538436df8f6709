"""Checks that every node writes to the same storage, and reads there what the other nodes wrote."""

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from shutil import disk_usage

from cluster.doctor.per_node import ask_every_node, label
from trainables.errors import InvalidInput
from trainables.storage import Folder

PREFIX = ".temper-doctor-"
DRIVER = "driver"
TRIED, SMALL = 4, 10_000  # files that the storage is timed by, and their bytes


@dataclass(frozen=True)
class Unshared:
    """One node that does not share the storage with the others.

    Attributes:
        node: name of the node.
        problem: what it could not do.
    """

    node: str
    problem: str


def check_shared(folder: Folder) -> None:
    """Refuses a search whose nodes do not all share its folder; a cluster of a single node passes without a check.

    Without this check, trials on such nodes fail one by one while the search goes on.

    Raises:
        InvalidInput: a node does not share the folder; the message names each such node, and the fix.
    """
    import ray

    if sum(node["Alive"] for node in ray.nodes()) < 2:
        return
    found = unshared(folder)
    if found:
        raise InvalidInput(
            *(f"{folder}: node {one.node} {one.problem}" for one in found),
            "--storage: expected what every node reaches under the same name: a shared folder (NFS) by its absolute "
            "path, or a URI (s3://…, gs://…)",
        )


def unshared(folder: Folder) -> tuple[Unshared, ...]:
    """Finds the nodes that cannot write into a folder, or cannot read there what another node wrote.

    Every node writes a file of its own, and so does the driver; then every node reads all of these files by name. The
    files are removed afterwards. A node that is lost meanwhile is not held against the storage. Ray must have been
    joined.
    """
    import ray

    names = {node["NodeID"]: label(node) for node in ray.nodes() if node["Alive"]}
    folder = folder.anchored()
    existed = folder.exists()
    place = folder.child(PREFIX + secrets.token_hex(6))
    alike = False
    try:
        written: dict[str, str | Exception] = {DRIVER: _write(place, DRIVER), **ask_every_node(_write_here, place)}
        marks = {node: mark for node, mark in written.items() if isinstance(mark, str) and mark == node}
        seen: dict[str, list[str] | Exception] = {
            DRIVER: _read(place, list(marks)),
            **ask_every_node(_read, place, list(marks)),
        }
        gone = names.keys() - {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        found = judge({node: name for node, name in names.items() if node not in gone}, written, seen)
        alike = not found
        return found
    finally:
        if not alike:
            ask_every_node(_clean, folder, place, existed)
        _clean(folder, place, existed)


def seconds_a_file(folder: Folder) -> dict[str, float]:
    """Returns how long each node takes to write a small file and read it back, by name; without those that cannot.

    All nodes must share the folder.
    """
    import ray

    folder = folder.anchored()
    existed, place = folder.exists(), folder.child(PREFIX + secrets.token_hex(6))
    try:
        answers = ask_every_node(_seconds_a_file, place)
    finally:
        _clean(folder, place, existed)
    found = {label(node): answers.get(node["NodeID"]) for node in ray.nodes()}
    return {name: seconds for name, seconds in found.items() if isinstance(seconds, float)}


def free_bytes(folder: Folder) -> int | None:
    """Returns the bytes that are free where a folder is, or will be made; None where the storage is remote."""
    if folder.local is None:
        return None
    with suppress(OSError):
        return disk_usage(next(one for one in (folder.local, *folder.local.parents) if one.exists())).free
    return None


def judge(
    names: Mapping[str, str],
    written: Mapping[str, str | Exception],
    seen: Mapping[str, Sequence[str] | Exception],
) -> tuple[Unshared, ...]:
    """Returns the nodes that do not share the storage, judged from what each node wrote and read.

    A node is at fault where it and the driver do not read each other's file. So where one node of three is cut off,
    that one is named, and not the two that miss its file.

    Args:
        names: Ray's id of each node to its name; what others did, such as one that was lost meanwhile, is not judged.
        written: id, or `driver`, to the same id where its file was written, else to what went wrong.
        seen: id, or `driver`, to the ids whose files it read back, or to what went wrong.
    """
    found = []
    both = [node for node in written if node in names and _sees(seen, node, DRIVER) and _sees(seen, DRIVER, node)]
    trusted = [DRIVER, *both]
    for node, name in names.items():
        did = written.get(node, TimeoutError("gave no answer"))
        if did != node:
            found.append(Unshared(name, f"cannot write there ({_reason(did)})"))
        elif isinstance(read := seen.get(node, TimeoutError("gave no answer")), Exception):
            found.append(Unshared(name, f"cannot read there ({_reason(read)})"))
        elif node not in trusted:
            found.append(Unshared(name, "sees another folder there than the driver: neither reads the other's file"))
        elif missed := [names[other] for other in trusted if other not in (DRIVER, node) and other not in read]:
            found.append(Unshared(name, f"does not read there what {', '.join(missed)} wrote"))
    return tuple(found)


def _sees(seen: Mapping[str, Sequence[str] | Exception], reader: str, writer: str) -> bool:
    read = seen.get(reader, ())
    return not isinstance(read, Exception) and writer in read


def _reason(problem: object) -> str:
    return (str(problem).strip() or type(problem).__name__).splitlines()[-1]


def _write_here(place: Folder) -> str:
    import ray

    return _write(place, ray.get_runtime_context().get_node_id())


def _write(place: Folder, name: str) -> str:
    """Writes a node's file, and returns the node's name, or the reason why the file could not be written."""
    try:
        place.write(name, name.encode())
    except (OSError, InvalidInput) as error:
        return f"{error}"
    return name


def _seconds_a_file(place: Folder) -> float:
    name, began = secrets.token_hex(6), time.perf_counter()
    for number in range(TRIED):
        place.write(f"{name}-{number}", bytes(SMALL))
        place.read(f"{name}-{number}")
    return (time.perf_counter() - began) / TRIED


def _read(place: Folder, names: Sequence[str]) -> list[str]:
    """Returns the names whose files can be read back; each is opened by name, since NFS keeps listings for seconds."""
    found = []
    for name in names:
        try:
            if place.read(name) == name.encode():
                found.append(name)
        except (OSError, InvalidInput):
            continue
    return found


def _clean(folder: Folder, place: Folder, existed: bool) -> None:
    """Removes the probe's files, and the folder too where only the probe made it.

    On storage that is not shared, every node has its own folder and must call this.
    """
    try:
        place.remove()
        if not existed and folder.exists() and not folder.names():
            folder.remove()
    except OSError:
        pass  # another node has removed it already, or nothing could be written there in the first place
