"""Keeps what was read of ended trials in one table, record.parquet, so that a large run is not read anew each time.

The folders of trials stay the truth. A row holds, beside the trial, when the files were written that it was read from,
and their sizes. It is passed over where one of them has another stamp by now; a table that is damaged, or that another
version wrote, is passed over as a whole.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet
from pydantic_core import from_json

from analysis.run.trials import Curve, Run, Trial, read_run
from trainables.collector import paused
from trainables.execution.ending import Ending, EndKind
from trainables.storage import Folder

TABLE = "record.parquet"
LAYOUT = "1"  # raised when the table's columns change, or what is made of a trial's files
_PLAIN = ("id", "role", "name", "number", "order", "started", "ended", "seconds")
_TEXTS = ("params", "asked", "metrics")  # held as JSON
_PART = "recipe."  # prefix of the columns that hold a recipe's parts as JSON; most trials share most of them
_SHARED = ("distributions",)  # as JSON too, and shared as well
_TYPES = dict.fromkeys(("number", "order", "examples", "epochs"), pa.int64()) | {
    "seconds": pa.float64(),
    "robust_correct": pa.binary(),
}  # of the columns that hold no texts


@dataclass(frozen=True)
class Known:
    """What is known of a run's ended trials without reading their folders.

    Attributes:
        trials: those whose files are as they were when the table was written, by their ids.
        stamps: of the files that each was read from, by its id.
        rows: their rows of the table; None where there are none.
        changed: how many rows are of trials whose files are other ones by now, or gone.
        unusable: why the whole table was passed over, in words; empty where it was not, or where there is none.
    """

    trials: Mapping[str, Trial] = field(default_factory=dict)
    stamps: Mapping[str, str] = field(default_factory=dict)
    rows: pa.Table | None = None
    changed: int = 0
    unusable: str = ""

    @property
    def passed_over(self) -> str:
        """What was not taken from the table, in words; empty where everything was."""
        if self.unusable:
            return f"{TABLE} is {self.unusable}, so every trial is read from its folder."
        trials = "a trial" if self.changed == 1 else f"{self.changed} trials"
        return f"{TABLE} is older than {trials}, read from the folder." if self.changed else ""


NOTHING = Known()


def read_known(folder: Folder) -> Known:
    """Read the table of a run, and check each of its rows against the files that it was read from."""
    if not folder.exists(TABLE):
        return NOTHING
    try:
        with paused():
            table = parquet.read_table(io.BytesIO(folder.read(TABLE)), memory_map=False)
            if (table.schema.metadata or {}).get(b"layout", b"").decode() != LAYOUT:
                return Known(unusable="not as this version of Temper writes it")
            trials = _trials(table, folder)
            stamps = _stamps(folder, table["id"].to_pylist(), table["epochs"].to_pylist())
    except (OSError, ValueError, KeyError, TypeError, IndexError, pa.ArrowException) as error:
        return Known(unusable=f"damaged ({error or type(error).__name__})")
    same = [one == other for one, other in zip(table["stamp"].to_pylist(), stamps, strict=True)]
    kept = {trial.id: trial for trial, keep in zip(trials, same, strict=True) if keep}
    rows = table if all(same) else table.filter(pa.array(same, pa.bool_()))
    known = dict(zip(rows["id"].to_pylist(), rows["stamp"].to_pylist(), strict=True))
    return Known(kept, known, rows, changed=len(trials) - len(kept))


def read_run_by(known: Known, folder: Folder) -> Run:
    """Read a run, and of its ended trials only those that are not known. Raises InvalidInput as `read_run` does."""
    return read_run(folder, Run(folder, {}, tuple(known.trials.values()), ()))


def write_known(run: Run, known: Known = NOTHING) -> dict[str, str]:
    """Write the table of a run's ended trials; rows that are known already are taken as they are.

    Returns:
        The stamps of the files that each was read from, by its id.
    """
    new = [one for one in run.everything if one.ending is not None and one.id not in known.trials]
    tables = [known.rows] if known.rows is not None else []
    tables += [_table(new, run.folder)] if new else []
    if not tables:
        return {}
    whole = pa.concat_tables(tables, promote_options="default").replace_schema_metadata({"layout": LAYOUT})
    if new or known.changed:
        made = io.BytesIO()
        parquet.write_table(whole, made, compression="zstd")
        run.folder.write(TABLE, made.getvalue())
    return dict(zip(whole["id"].to_pylist(), whole["stamp"].to_pylist(), strict=True))


def stamps_of(run: Run) -> dict[str, str]:
    """Return the stamps of the files of trials that have not ended, by their ids: they change as the trials go on."""
    names = [one.id for one in run.everything if one.ending is None]
    lengths = [len(one.history) for one in run.everything if one.ending is None]
    return dict(zip(names, _stamps(run.folder, names, lengths), strict=True))


def _stamps(folder: Folder, names: Sequence[str], epochs: Sequence[int]) -> list[str]:
    """Return the stamps of the files that each trial is read from, as a text."""
    places = [
        f"{name}/{place}"
        for name, last in zip(names, epochs, strict=True)
        for place in ("recipe.json", "outcome.json", "checkpoint", f"checkpoint/{last}/state.json")
    ]
    found = folder.child("trials").stamps(places)
    return [" ".join(f"{when}:{size}" for when, size in found[at : at + 4]) for at in range(0, len(found), 4)]


def _table(trials: Sequence[Trial], folder: Folder) -> pa.Table:
    columns: dict[str, Any] = {name: [getattr(one, name) for one in trials] for name in _PLAIN}
    columns["epochs"] = [len(one.history) for one in trials]
    columns["stamp"] = _stamps(folder, columns["id"], columns["epochs"])
    endings = [one.ending for one in trials if one.ending is not None]
    columns["kind"] = [one.kind.value for one in endings]
    columns["detail"] = [one.detail for one in endings]
    columns |= {name: [json.dumps(getattr(one, name)) for one in trials] for name in (*_TEXTS, *_SHARED)}
    for key in dict.fromkeys(key for one in trials for key in one.recipe):
        columns[f"{_PART}{key}"] = [json.dumps(one.recipe[key]) if key in one.recipe else None for one in trials]
    bits = [one.robust_correct for one in trials]
    columns["examples"] = [None if one is None else len(one) for one in bits]
    columns["robust_correct"] = [None if one is None else np.packbits(one).tobytes() for one in bits]
    return pa.table({name: pa.array(values, _TYPES.get(name, pa.string())) for name, values in columns.items()})


def _trials(table: pa.Table, folder: Folder) -> list[Trial]:
    columns = {name: table[name].to_pylist() for name in (*_PLAIN, "kind", "detail")}
    columns |= {name: [from_json(text) for text in table[name].to_pylist()] for name in _TEXTS}
    columns |= {name: _shared(table[name].to_pylist()) for name in _SHARED}
    keys = [name.removeprefix(_PART) for name in table.column_names if name.startswith(_PART)]
    parts = zip(*(_shared(table[f"{_PART}{key}"].to_pylist()) for key in keys), strict=True)
    columns["recipe"] = [
        {key: part for key, part in zip(keys, one, strict=True) if part is not _ABSENT} for one in parts
    ]
    columns["robust_correct"] = _correct(table["robust_correct"].to_pylist(), table["examples"].to_pylist())
    names, place = list(columns), folder.child("trials")
    return [_trial(dict(zip(names, row, strict=True)), place) for row in zip(*columns.values(), strict=True)]


def _correct(packed: Sequence[bytes | None], examples: Sequence[int | None]) -> list[NDArray[np.bool_] | None]:
    """Return which images each trial's network classified correctly; unpacked all at once, for the sake of speed."""
    bits = np.unpackbits(np.frombuffer(b"".join(one or b"" for one in packed), np.uint8)).astype(np.bool_)
    ends = np.cumsum([8 * len(one or b"") for one in packed]).tolist()
    return [
        None if one is None else bits[end - 8 * len(one) :][:count]
        for one, count, end in zip(packed, examples, ends, strict=True)
    ]


_ABSENT = object()


def _shared(texts: Iterable[str | None]) -> list[Any]:
    """Return what each JSON text holds, each text read once."""
    read: dict[str | None, Any] = {None: _ABSENT}
    return [read[text] if text in read else read.setdefault(text, from_json(text or "")) for text in texts]


def _trial(row: dict[str, Any], trials: Folder) -> Trial:
    ending, history = Ending(EndKind(row.pop("kind")), row.pop("detail")), Curve(trials, row["id"])
    return Trial(**row, ending=ending, history=history)
