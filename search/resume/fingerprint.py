"""What a run's numbers depend on, hashed part by part: whoever resumes it must have the same."""

import json
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from cluster.connection.runtime_env import LOCK, checkout
from search.study.study import Study
from trainables.user_code import is_reference


def fingerprint(study: Study, data: str) -> dict[str, str]:
    """Part to hash: the study, its data, the lock, the source of trainables/, and the user's own modules.

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
    for name in (study.data.name, study.model.name):
        if is_reference(name) and not name.startswith("torchvision:"):
            module = name.partition(":")[0]
            spec = find_spec(module)
            if spec is not None and spec.origin is not None and Path(spec.origin).exists():
                parts[f"module {module}"] = _hash(Path(spec.origin).read_bytes())
    return parts


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """The parts that are not the same."""
    return [part for part in sorted({*before, *now}) if before.get(part) != now.get(part)]


def _source(package: Path) -> bytes:
    """Every module of a package, in whatever folder of it, one after the other."""
    return b"".join(path.read_bytes() for path in sorted(package.rglob("*.py")))


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()[:16]
