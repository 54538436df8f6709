"""Drops from a trial's checkpoints what is needed only to train on: older epochs, the optimizer, other weights."""

from typing import Any

from trainables.checkpoints.checkpoint import epochs_in, read_newest, result_name
from trainables.storage import Folder

DROPPED = "dropped"  # key of state.json: names of the files that were


def thin(folder: Folder, *, weights: bool, best: bool) -> int:
    """Keeps of an ended trial's checkpoints the newest whole one: its history, and if they are wanted its weights.

    What is left is named in state.json before anything is deleted, so that a kill leaves a whole checkpoint.

    Args:
        folder: trials/<id>/checkpoint.
        weights: whether the weights are kept.
        best: whether they are those of the best epoch instead of the last.

    Returns:
        Bytes that were freed; 0 where no whole checkpoint is found, of which nothing is touched.
    """
    kept = _kept(folder, weights=weights, best=best)
    if kept is None:
        return 0
    before, (newest, names, state) = folder.size(), kept
    place = folder.child(str(newest))
    gone = [name for name in state["sha256"] if name not in names]
    if gone:
        state["sha256"] = {name: state["sha256"][name] for name in names}
        state[DROPPED] = sorted({*state.get(DROPPED, ()), *gone})
        place.write_json("state.json", state)
    for name in place.names():
        if name != "state.json" and name not in names:
            place.delete(name)
    for epoch in epochs_in(folder):
        if epoch != newest:
            folder.child(str(epoch)).remove()
    return before - folder.size()


def would_free(folder: Folder, *, weights: bool, best: bool) -> int:
    """Returns the bytes that `thin` would free, to the few that state.json changes by."""
    kept = _kept(folder, weights=weights, best=best)
    if kept is None:
        return 0
    newest, names, _ = kept
    place = folder.child(str(newest))
    return folder.size() - sum(place.size(name) for name in [*names, "state.json"])


def was_dropped(folder: Folder) -> bool:
    """Returns whether the newest whole checkpoint has lost weights by `thin`."""
    found = read_newest(folder)
    return found is not None and not found.files and bool(found.state.get(DROPPED))


def _kept(folder: Folder, *, weights: bool, best: bool) -> tuple[int, list[str], dict[str, Any]] | None:
    """Returns the newest whole epoch, the names of its files that are kept, and its state."""
    found = read_newest(folder)
    if found is None:
        return None
    name = result_name(found.files, best=best) if weights else None
    return found.epoch, [] if name is None else [name], dict(found.state)
