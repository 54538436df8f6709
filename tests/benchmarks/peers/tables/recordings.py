"""Makes a table of a recording of Temper's, with robust accuracy as its score and FLOPs as its cost."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np

from search.recipes.fixed import FixedRecipes
from search.simulation.recording import Curve, Recording, read, shipped
from search.study.study import compute_of
from tests.benchmarks.peers.tables.table import Entry, Table, parameters_of

SHARE = 0.25  # of the compute of the whole table: what each search may spend


@cache
def recording_of(source: str) -> Recording:
    """Read a recording once, by its name or path."""
    return read(source)


def recorded_table(source: str) -> Table:
    """Make the table of a shipped recording, by name, or of any recording, by its path."""
    recording = recording_of(source)
    path = shipped().get(source, Path(source))
    proposals = {key: curve for key, curve in recording.curves.items() if key.startswith("{")}
    params = [json.loads(key) for key in proposals]
    compute = compute_of(recording.study)
    entries = [_entry(one, curve, compute) for one, curve in zip(params, proposals.values(), strict=True)]
    return Table(
        name=path.stem,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        parameters=parameters_of(params),
        entries=tuple(entries),
        point=reference_point(recording),
        budget=SHARE * sum(one.spent[-1] for one in entries),
        planned=tuple(curve.planned(compute) for curve in proposals.values()),
    )


def reference_point(recording: Recording) -> tuple[float, float]:
    """The reference point that the recorded study's rule makes of its base and its reference."""
    study = recording.study
    compute, fixed = compute_of(study), FixedRecipes.of(study)
    base, reference = recording.curves[fixed.base.name].metrics, recording.curves[fixed.reference.name].metrics
    robust = {"reference": reference["robust_accuracy"], "base": base["robust_accuracy"]}
    point = study.reference_point.point(**robust, compute=reference[compute])
    assert point is not None, "the reference of a recording spent compute"
    return float(point[0]), float(point[1])


def _entry(params: dict[str, object], curve: Curve, compute: str) -> Entry:
    scores = [row["robust_accuracy"] for row in curve.rows]
    known = [float("nan") if score is None else float(score) for score in scores]
    finished = bool(curve.metrics)
    if finished:
        known[-1] = float(curve.metrics["robust_accuracy"])
    return Entry(
        params=params,
        shares=tuple(float(share) for share in np.arange(1, len(known) + 1) / _epochs(params, curve)),
        scores=tuple(known),
        spent=tuple(float(row["train_flops"]) for row in curve.rows),
        score=known[-1] if finished else None,
        cost=float(curve.metrics[compute]) if finished else curve.planned(compute),
    )


def _epochs(params: dict[str, object], curve: Curve) -> float:
    """Epochs of the whole schedule. A recipe that ended early has fewer rows, so its parameter says."""
    return float(str(params["epochs"])) if "epochs" in params else float(len(curve.rows))
