"""Checkpoints of a recipe in progress: checkpoint/<epoch>/ with tensor files and, written last, state.json."""

import hashlib
from typing import Any

from trainables.storage import Folder


def write(folder: Folder, epoch: int, files: dict[str, bytes], state: dict[str, Any]) -> None:
    """Write the checkpoint of an epoch, then drop all but it and the one before.

    Args:
        folder: trials/<id>/checkpoint.
        epoch: epochs done.
        files: name to content.
        state: plain data; the files' hashes are added to it, so that a torn checkpoint is told from a whole one.
    """
    place = folder.child(str(epoch))
    for name, content in files.items():
        place.write(name, content)
    place.write_json("state.json", {**state, "sha256": {name: _hash(content) for name, content in files.items()}})
    for old in _epochs(folder)[:-2]:
        folder.child(str(old)).remove()


def read_newest(folder: Folder) -> tuple[dict[str, bytes], dict[str, Any]] | None:
    """Files and state of the newest checkpoint that is whole, or None."""
    for epoch in reversed(_epochs(folder)):
        place = folder.child(str(epoch))
        try:
            state = place.read_json("state.json")
            files = {name: place.read(name) for name in state["sha256"]}
        except (OSError, ValueError, KeyError, TypeError):
            continue  # torn: a kill while it was written; the epoch before it is whole
        if all(_hash(files[name]) == expected for name, expected in state["sha256"].items()):
            return files, state
    return None


def _epochs(folder: Folder) -> list[int]:
    return sorted(int(name) for name in folder.names() if name.isdigit())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
