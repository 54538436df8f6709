"""Writes and reads the checkpoints of a recipe: checkpoint/<epoch>/ with tensor files and, written last, state.json."""

import hashlib
from typing import Any

from trainables.storage import Folder


def write(folder: Folder, epoch: int, files: dict[str, bytes], state: dict[str, Any]) -> None:
    """Writes the checkpoint of an epoch, then deletes all checkpoints but the newest two.

    Args:
        folder: trials/<id>/checkpoint.
        epoch: number of epochs done.
        files: name of each tensor file, to its content.
        state: plain data for state.json; the files' hashes are added, so that a damaged checkpoint is recognised.
    """
    place = folder.child(str(epoch))
    for name, content in files.items():
        place.write(name, content)
    place.write_json("state.json", {**state, "sha256": {name: _hash(content) for name, content in files.items()}})
    for old in _epochs(folder)[:-2]:
        folder.child(str(old)).remove()


def read_newest(folder: Folder) -> tuple[dict[str, bytes], dict[str, Any]] | None:
    """Reads the files and the state of the newest undamaged checkpoint; None if there is none."""
    for epoch in reversed(_epochs(folder)):
        found = _read(folder.child(str(epoch)))
        if found is not None:
            return found
    return None


def torn(folder: Folder) -> tuple[list[int], int | None]:
    """Returns the epochs of the damaged checkpoints, and the epoch of the newest undamaged one, None without any."""
    epochs = _epochs(folder)
    broken = [epoch for epoch in epochs if _read(folder.child(str(epoch))) is None]
    return broken, max((epoch for epoch in epochs if epoch not in broken), default=None)


def read_result(folder: Folder, *, epochs: int, best: bool) -> bytes | None:
    """Reads the weights that a finished recipe keeps, as safetensors bytes.

    Args:
        folder: trials/<id>/checkpoint.
        epochs: number of rows that its history has once it has finished.
        best: read the weights of the best epoch instead of the last.

    Returns:
        The weights; None if there is no undamaged checkpoint of the finished recipe.
    """
    found = read_newest(folder)
    if found is None or len(found[1]["history"]) < epochs:
        return None
    files = found[0]
    if best:
        return files["best.safetensors"]
    return files.get("average.safetensors", files["weights.safetensors"])


def _read(place: Folder) -> tuple[dict[str, bytes], dict[str, Any]] | None:
    """Reads a checkpoint's files and state; None if it is damaged, by a kill while it was written or by the disk."""
    try:
        state = place.read_json("state.json")
        files = {name: place.read(name) for name in state["sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(_hash(files[name]) == expected for name, expected in state["sha256"].items())
    return (files, state) if whole else None


def _epochs(folder: Folder) -> list[int]:
    return sorted(int(name) for name in folder.names() if name.isdigit())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
