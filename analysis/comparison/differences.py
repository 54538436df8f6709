"""Lists the keys in which the studies of runs differ, and what else of their making does."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from analysis.run.trials import Run

STUDY = "study.yaml"
UNTOLD = ("name", "description")  # of the study, which say nothing of what was done
ABSENT = "–"


@dataclass(frozen=True)
class Difference:
    """One key in which runs differ.

    Attributes:
        key: path of the key in the study, such as `space.schedule.epochs.high`; or `made by …`.
        values: its value in each run, in their order, as text; `–` where a run has no such key.
    """

    key: str
    values: tuple[str, ...]


def differences(runs: Sequence[Run]) -> list[Difference]:
    """Return the keys in which runs differ: of their studies, in the order of the keys, then of what they were made by.

    A run whose study.yaml is gone or torn has none of its keys.
    """
    studies = [dict(_flat(_study(run))) for run in runs]
    keys = dict.fromkeys(key for study in studies for key in study)
    found = [Difference(key, tuple(study.get(key, ABSENT) for study in studies)) for key in keys if key not in UNTOLD]
    makers = [_maker(run) for run in runs]
    found += [Difference(f"made by {key}", tuple(str(maker[key]) for maker in makers)) for key in makers[0]]
    return [one for one in found if len(set(one.values)) > 1]


def _study(run: Run) -> Any:
    try:
        return yaml.safe_load(run.folder.read(STUDY)) or {}
    except (OSError, ValueError, yaml.YAMLError):
        return {}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the leaves of nested mappings and lists with their paths; items that have a name are called by it."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
        for number, inner in enumerate(value):
            name = inner.get("name", number) if isinstance(inner, Mapping) else number
            yield from _flat(inner, f"{path}.{name}")
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    return "null" if value is None else f"[{', '.join(map(_text, value))}]" if isinstance(value, list) else str(value)


def _maker(run: Run) -> dict[str, str]:
    provenance, environment = run.info.get("provenance", {}), run.info.get("environment", {})
    versions = provenance.get("versions", {})
    return {
        "Temper": f"{versions.get('temper', '?')} {str(provenance.get('git_commit') or '')[:7]}".strip(),
        "torch": str(versions.get("torch", "?")),
        "processor": ", ".join(environment.get("cards", [])) or str(environment.get("processor", "?")),
    }
