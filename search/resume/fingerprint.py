"""What a run's numbers depend on, hashed part by part: whoever resumes it must have the same."""

import json
from hashlib import sha256
from pathlib import Path

from cluster.connection.runtime_env import LOCK, checkout
from search.study.study import Study
from trainables.user_code import references, source_files


def fingerprint(study: Study, data: str) -> dict[str, str]:
    """Part to hash: the study, its data, the lock, the source of trainables/, and each file of the user's own modules.

    Args:
        study: as resolved.
        data: the splits' own fingerprint.
    """
    canonical = json.dumps(study.model_dump(mode="json"), sort_keys=True).encode()
    root = checkout()
    lock = root / LOCK
    parts = {
        "study": _hash(canonical),
        "data": data,
        "code of trainables/": _hash(_source(root / "trainables")),
        "requirements.lock": _hash(lock.read_bytes()) if lock.exists() else "none",
    }
    for reference in references(study).values():
        parts |= {f"module {name}": _hash(path.read_bytes()) for name, path in source_files(reference).items()}
    return parts


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The parts that are not the same."""
    return [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]


def _source(package: Path) -> bytes:
    """Every module of a package, in whatever folder of it, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
