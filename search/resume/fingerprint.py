"""Hashes all that a run's numbers depend on (code, data, study), so that a resumed search is refused if it changed."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from analysis.pareto.reference_point import BEFORE
from analysis.run.users_parts import DATA, FILE, MODULE
from cluster.connection.runtime_env import LOCK, checkout
from search.remote.user_modules import files_to_ship
from search.study.space import BASE
from search.study.study import Study
from trainables.evaluation.config import ScoringProtocol
from trainables.user_code import LISTENERS, references, source_files

CUT = "last_epoch_steps"
# Keys that came after 0.2 with what 0.2 did in their place: a study that says the same has the hash that it had.
_LATER: Mapping[str, Any] = {
    "ship": [],
    "other_data": None,
    "budget.stop": None,
    "evaluation.attack": ScoringProtocol.model_fields["attack"].default,
    "model.uncounted_operators": [],
    "model.pixel_mean": None,
    "model.pixel_std": None,
    "reference_point": BEFORE.model_dump(mode="json"),
    "space.base": [BASE],
    "space.label_smoothing": None,
}


def fingerprint(study: Study, data: str) -> dict[str, str]:
    """Return the hash of each part that a run's numbers depend on, by the part's name.

    The parts are the study, its data, the lock of the dependencies, the source of trainables/, each source file of the
    user's modules, and the files that the study ships.

    Args:
        study: the study, as resolved.
        data: fingerprint of the data, from its splits.
    """
    canonical = json.dumps(_content(study), sort_keys=True).encode()
    root = checkout()
    lock = root / LOCK
    parts = {
        "study": _hash(canonical),
        DATA: data,
        "code of trainables/": _hash(_source(root / "trainables")),
        "requirements.lock": _hash(lock.read_bytes()) if lock.exists() else "none",
    }
    parts |= module_hashes(study)
    return parts | {f"{FILE}{name}": file_hash(place) for name, place in files_to_ship(study).items()}


def _content(study: Study) -> dict[str, Any]:
    """Return a study as plain data, without the keys that came after 0.2 where they say what 0.2 did."""
    content = study.model_dump(mode="json", exclude={LISTENERS})
    for path, before in _LATER.items():
        *parents, last = path.split(".")
        place: Any = content
        for parent in parents:
            place = place[parent] or {}
        if last in place and place[last] == before:
            del place[last]
    _drop_from_schedules(content)
    return content


def _drop_from_schedules(content: Any) -> None:
    """Drop the key of schedules that came after 0.2 from each that does not use it, wherever in a study it lies."""
    for part in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        _drop_from_schedules(part)
    if isinstance(content, dict) and content.get(CUT, ...) is None:
        del content[CUT]


def module_hashes(configuration: BaseModel) -> dict[str, str]:
    """Return the hash of each source file of the user's modules that a study or a recipe names, by the part's name."""
    parts: dict[str, str] = {}
    numbers = {key: one for key, one in references(configuration).items() if not key.startswith(LISTENERS)}
    for reference in numbers.values():
        parts |= {f"{MODULE}{name}": _hash(path.read_bytes()) for name, path in source_files(reference).items()}
    return parts


def file_hash(place: Path) -> str:
    """Return the hash of a file that a study ships, or of all files of a folder with their names."""
    if not place.is_dir():
        return _hash(place.read_bytes())
    files = sorted(one for one in place.rglob("*") if one.is_file())
    return _hash(b"".join(f"{one.relative_to(place)}\n".encode() + one.read_bytes() for one in files))


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """Return the names of the parts that differ between two fingerprints, sorted."""
    return [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]


def _source(package: Path) -> bytes:
    """Return the source of every module of a package and of its sub-packages, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
