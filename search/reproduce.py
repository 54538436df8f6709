"""Trains one exported recipe again, in this process and without Ray, and compares its numbers with the export's."""

import math
from pathlib import Path
from typing import Any

import torch
from pydantic import ConfigDict

from analysis.run.format import check_format
from search.resume.comparison import compare
from trainables.config import Frozen, parse, read_yaml
from trainables.data.splits import load_splits
from trainables.errors import InvalidInput, TemperError
from trainables.evaluation.config import ScoringProtocol
from trainables.evaluation.metrics import METRICS
from trainables.execution.pipeline import set_conditions
from trainables.execution.standalone import run
from trainables.recipe.recipe import Recipe

EXACT = tuple(one.name for one in METRICS.values() if one.exact)
STANDARD_ERRORS = 4.0  # tolerance for another machine: this many standard errors of a difference of two accuracies


class Exported(Frozen):
    """One exported recipe, read from a file that `temper export` wrote.

    Attributes:
        recipe: the recipe.
        evaluation: how it was scored.
        environment: machine, versions and data that decide whether its numbers can be repeated bitwise.
        fingerprint: hashes of the data and of the user's modules; empty in exports of versions before 0.3.0.
        metrics: its final numbers.
    """

    model_config = ConfigDict(extra="ignore")

    recipe: Recipe
    evaluation: ScoringProtocol
    environment: dict[str, Any]
    fingerprint: dict[str, str] = {}
    metrics: dict[str, float]


def reproduce(path: str, *, force: bool = False) -> str:
    """Train an exported recipe again, its base included, and compare its numbers with the exported ones.

    On the same machine, with the same number of threads and the same versions, all numbers must be equal. Elsewhere
    FLOPs must be equal, and accuracies may differ by 4 standard errors of their difference.

    Args:
        path: the file that `temper export` wrote.
        force: train it even if the data or the user's modules have changed.

    Returns:
        The comparison, one line for each number.

    Raises:
        InvalidInput: the file is missing, is no single exported recipe, or is of a later version; or the data or the
            user's modules have changed.
        TemperError: the numbers differ by more than that.
    """
    exported = read_exported(path)
    threads, device = int(exported.environment.get("threads", 1)), str(exported.environment.get("device", "cpu"))
    if device == "cuda" and not torch.cuda.is_available():
        device = "cpu"
    set_conditions(threads)
    splits = load_splits(exported.recipe.data)
    found = compare(exported.fingerprint, exported.recipe, splits.fingerprint())
    if not force:
        found.refuse(path)
    pipeline = run(exported.recipe, exported.evaluation, splits, torch.device(device))
    if pipeline.reason is not None:
        raise TemperError(f"{path}: {pipeline.reason}; the export has finished numbers")
    metrics = pipeline.metrics()
    images = min(exported.evaluation.examples or math.inf, len(splits.validation))  # that were scored
    same = _here(threads, device, splits.fingerprint()).items() <= exported.environment.items()
    lines, wrong = [], []
    for name in EXACT:
        before, after = exported.metrics[name], metrics[name]
        tolerance = 0.0 if same or not name.endswith("accuracy") else _tolerance(before, images)
        verdict = "same" if before == after else f"within {tolerance:.4f}"
        if abs(before - after) > tolerance:
            verdict = f"differs, allowed {tolerance:.4f}"
            wrong.append(name)
        lines.append(f"{name:18s} exported {before:<22.17g} reproduced {after:<22.17g} {verdict}")
    where = "same machine, threads and versions: bitwise" if same else "another environment: 4 standard errors"
    text = "\n".join([f"recipe {exported.recipe.id} ({where})", *lines])
    if wrong:
        raise TemperError(f"{text}\nnot reproduced: {', '.join(wrong)}")
    return text


def read_exported(path: str) -> Exported:
    """Read one exported recipe.

    Raises:
        InvalidInput: the file is missing, is no single exported recipe, or is of a later version.
    """
    try:
        data = read_yaml(Path(path).read_bytes(), path)
    except OSError as error:
        raise InvalidInput(f"{path}: {error.strerror}; expected a file from `temper export`") from None
    if not isinstance(data, dict):
        raise InvalidInput(f"{path}: got {type(data).__name__}, expected one exported recipe (--pick knee)")
    check_format(data, path)
    return parse(Exported, data, where=path)


def _here(threads: int, device: str, data: str) -> dict[str, Any]:
    from search.record.provenance import environment

    return environment(threads, device) | {"data": data}


def _tolerance(accuracy: float, examples: float) -> float:
    return STANDARD_ERRORS * math.sqrt(2 * max(accuracy * (1 - accuracy), 1 / examples) / examples)
