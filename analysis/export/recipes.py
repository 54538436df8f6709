"""Exports recipes as YAML, JSON or CSV, complete enough to train them again elsewhere."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import yaml

from analysis.evidence.comparisons import Confirmed
from analysis.run.format import FORMAT
from analysis.run.trials import Run, Trial
from analysis.run.users_parts import users_parts
from trainables.config import YamlDumper
from trainables.errors import InvalidInput

FORMATS = ("yaml", "json", "csv")


def record(run: Run, trial: Trial, confirmed: Mapping[str, Confirmed] | None = None) -> dict[str, Any]:
    """Return one trial as it is exported: plain data with its recipe, evaluation, environment and metrics.

    Metrics that are not finite become null. Where the search has a model, its estimate stands beside the metrics, and
    what a confirmation found of it, if any, beside both.

    Args:
        run: the run.
        trial: one of its finished trials.
        confirmed: what confirmations found, by the trials' ids.
    """
    found = (confirmed or {}).get(trial.id)
    return {
        "format": FORMAT,
        "id": trial.id,
        "role": trial.role,
        "recipe": trial.recipe,
        "evaluation": run.info.get("evaluation"),
        "environment": run.info.get("environment"),
        "fingerprint": users_parts(run.info.get("fingerprint", {})),
        "metrics": {name: _finite(value) for name, value in trial.metrics.items()},
        **({"estimate": dict(trial.estimate)} if trial.estimate else {}),
        **({"confirmed": {**asdict(found), "doubts": list(found.doubts)}} if found else {}),
    }


def render(trials: Sequence[Trial], run: Run, format: str, confirmed: Mapping[str, Confirmed] | None = None) -> str:
    """Return trials as text in one of the formats.

    Args:
        trials: the trials to export.
        run: the run that they are from.
        format: "yaml" or "json": one trial is a mapping, several are a list; "csv": one row for each trial, with the
            nested keys of its recipe and metrics joined by dots.
        confirmed: what confirmations found, by the trials' ids.

    Raises:
        InvalidInput: there is nothing to export, or there is no such format.
    """
    if format not in FORMATS:
        raise InvalidInput(f"format: got {format!r}, expected one of {', '.join(FORMATS)}")
    if not trials:
        raise InvalidInput(f"{run.folder}: nothing to export")
    records = [record(run, trial, confirmed) for trial in trials]
    if format == "csv":
        return _csv(records)
    content = records[0] if len(records) == 1 else records
    if format == "json":
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    return yaml.dump(content, Dumper=_PlainDumper, sort_keys=False, allow_unicode=True, width=120)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


class _PlainDumper(YamlDumper):
    """Repeats shared values (the evaluation, the environment) where YAML would write anchors and aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _csv(records: Sequence[dict[str, Any]]) -> str:
    rows = [
        _flat({key: item[key] for key in ("id", "role", "recipe", "metrics", "confirmed") if key in item})
        for item in records
    ]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns.sort(key=lambda key: key.startswith(("metrics.", "confirmed.")))  # a stable sort: metrics come last
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping, with keys joined by dots."""
    flat: dict[str, Any] = {}
    for key, value in content.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat
