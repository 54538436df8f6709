"""Packs images under attack into the page: of the reference, the frontier and fixed recipes, as far as there is room.

Every recipe is scored on the same images, so the page holds them once, and of each recipe only by how much its attack
moved every pixel. Most attacks move most pixels by the same amount, which compresses to a fifth of an image.
"""

import io
from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from analysis.run.trials import Run
from trainables.evaluation.attacked_images import AttackedImages, in_a_row

ROOM = 150_000  # characters, of a page that stays below 6 MB


def attacked_sheets(run: Run, table: pd.DataFrame, first: Sequence[str]) -> dict[str, Any] | None:
    """Return what the page's script draws, as plain data; None where no shown recipe has kept images.

    Args:
        run: the run.
        table: its table of `analysis.tables.trials.finished`.
        first: ids of recipes to begin with; then come those of the frontier, the best scores first, and fixed ones.

    Returns:
        count, factor: number of images, and by how much their changes are magnified, so that all of them can be seen.
        names: names of the classes, by their numbers; empty in runs of versions that recorded none.
        labels, clean: their classes, and a PNG file in base64 of all of them in a row.
        of: by a recipe's id, `changes`, a PNG file of the same size whose pixels are those under attack minus those as
        they are, modulo 256; and `answers` and `attacked_answers` of the network.
    """
    shared: AttackedImages | None = None
    found, largest, room = dict[str, dict[str, Any]](), 0, ROOM
    for name in _in_order(table, first):
        kept = AttackedImages.read(run.folder.child("trials", name))
        if kept is None or (shared is not None and not _same(kept, shared)):
            continue
        images, attacked = in_a_row(kept.images), in_a_row(kept.attacked)
        changes = attacked - images  # of bytes, so it wraps around
        entry = {"changes": _png(changes)}
        entry |= {key: getattr(kept, key).tolist() for key in ("answers", "attacked_answers")}
        room -= len(str(entry))
        if room < 0:
            break
        shared, found[name] = kept, entry
        largest = max(largest, int(np.abs(attacked.astype(int) - images).max()))
    if shared is None:
        return None
    return {
        "count": len(shared.labels),
        "factor": max(1, 127 // max(largest, 1)),
        "names": run.info.get("class_names", []),
        "labels": shared.labels.tolist(),
        "clean": _png(in_a_row(shared.images)),
        "of": found,
    }


def _in_order(table: pd.DataFrame, first: Sequence[str]) -> list[str]:
    if not len(table):
        return []
    ranked = table.sort_values("robust_accuracy", ascending=False)
    members, fixed = ranked[ranked["on_frontier"]], ranked[ranked["role"].isin(["base", "baseline"])]
    known = set(table["id"])
    return list(dict.fromkeys([*(name for name in first if name in known), *members["id"], *fixed["id"]]))


def _same(one: AttackedImages, other: AttackedImages) -> bool:
    return np.array_equal(one.images, other.images) and np.array_equal(one.labels, other.labels)


def _png(sheet: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet).save(buffer, format="png", optimize=True)
    return b64encode(buffer.getvalue()).decode()
