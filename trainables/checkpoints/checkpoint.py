"""Writes and reads the checkpoints of a recipe: checkpoint/<epoch>/ with tensor files and, written last, state.json."""

import hashlib
from collections.abc import Collection
from typing import Any, NamedTuple

from trainables.storage import Folder


class Checkpoint(NamedTuple):
    """A checkpoint that was read.

    Attributes:
        epoch: number of epochs done.
        files: name of each tensor file, to its content.
        state: content of state.json.
    """

    epoch: int
    files: dict[str, bytes]
    state: dict[str, Any]

    def result(self, *, epochs: int, best: bool) -> bytes | None:
        """Returns the weights that a finished recipe keeps, as safetensors bytes; None as `read_result` has it."""
        name = result_name(self.files, best=best) if len(self.state["history"]) >= epochs else None
        return None if name is None else self.files[name]


def write(folder: Folder, epoch: int, files: dict[str, bytes], state: dict[str, Any], *, lasting: bool = False) -> None:
    """Writes the checkpoint of an epoch, then deletes all others but the one before it.

    Those of later epochs are of an attempt that was given up since they are damaged.

    Args:
        folder: trials/<id>/checkpoint.
        epoch: number of epochs done.
        files: name of each tensor file, to its content.
        state: plain data for state.json; the files' hashes are added, so that a damaged checkpoint is recognised.
        lasting: whether it must outlast a loss of power, as a result must; else an earlier one is gone on from.
    """
    place = folder.child(str(epoch))
    for name, content in files.items():
        place.write(name, content, lasting=lasting)
    hashes = {name: _hash(content) for name, content in files.items()}
    place.write_json("state.json", {**state, "sha256": hashes}, lasting=lasting)
    others = [one for one in epochs_in(folder) if one != epoch]
    before = max((one for one in others if one < epoch), default=None)
    for other in others:
        if other != before:
            folder.child(str(other)).remove()


def read_newest(folder: Folder) -> Checkpoint | None:
    """Reads the newest undamaged checkpoint; None if there is none."""
    several = (_read(folder, epoch) for epoch in reversed(epochs_in(folder)))
    return next((found for found in several if found is not None), None)


def torn(folder: Folder) -> tuple[list[int], int | None]:
    """Returns the epochs of the damaged checkpoints, and the epoch of the newest undamaged one, None without any."""
    epochs = epochs_in(folder)
    broken = [epoch for epoch in epochs if _read(folder, epoch) is None]
    return broken, max((epoch for epoch in epochs if epoch not in broken), default=None)


def read_result(folder: Folder, *, epochs: int, best: bool) -> bytes | None:
    """Reads the weights that a finished recipe keeps, as safetensors bytes.

    Args:
        folder: trials/<id>/checkpoint.
        epochs: number of rows that its history has once it has finished.
        best: read the weights of the best epoch instead of the last.

    Returns:
        The weights; None if there is no undamaged checkpoint of the finished recipe, or they were dropped from it.
    """
    found = read_newest(folder)
    return None if found is None else found.result(epochs=epochs, best=best)


def result_name(files: Collection[str], *, best: bool) -> str | None:
    """Returns which of a checkpoint's files holds the weights that a recipe keeps; None if it was dropped."""
    wanted = ("best.safetensors",) if best else ("average.safetensors", "weights.safetensors")
    return next((name for name in wanted if name in files), None)


def _read(folder: Folder, epoch: int) -> Checkpoint | None:
    """Reads a checkpoint; None if it is damaged, by a kill while it was written or by the disk."""
    place = folder.child(str(epoch))
    try:
        state = place.read_json("state.json")
        files = {name: place.read(name) for name in state["sha256"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = all(_hash(files[name]) == expected for name, expected in state["sha256"].items())
    return Checkpoint(epoch, files, state) if whole else None


def epochs_in(folder: Folder) -> list[int]:
    """Returns the epochs of which there are checkpoints, damaged ones included, in their order."""
    return sorted(int(name) for name in folder.names() if name.isdigit())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
