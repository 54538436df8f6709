"""Reads by how much the budget of a run's search was extended since it began.

Each `temper resume RUN --budget` writes one file, `extensions/<n>.json`, beside study.yaml, which stays as it is.
"""

from dataclasses import asdict, dataclass
from typing import Any

from trainables.storage import Folder

EXTENSIONS = "extensions"


@dataclass(frozen=True)
class Spent:
    """What a search had spent of its budget at some moment.

    Attributes:
        trials: number of proposals.
        finished: number of those that had finished.
        flops: marginal training FLOPs of all proposals.
        hours: hours for which drivers had worked.
    """

    trials: int = 0
    finished: int = 0
    flops: float = 0.0
    hours: float = 0.0


@dataclass(frozen=True)
class Extension:
    """What was added to a search's budget, and what had been spent by then.

    Attributes:
        trials: number of proposals.
        hours: hours of wall time.
        flops: marginal training FLOPs.
        spent: what had been spent, from which on the budget that is left is counted.
    """

    trials: int = 0
    hours: float = 0.0
    flops: float = 0.0
    spent: Spent = Spent()


def read_extensions(run: Folder) -> tuple[Extension, ...]:
    """Read the extensions of a run in their order; none if it was never extended."""
    folder = run.child(EXTENSIONS)
    numbers = sorted(int(name.removesuffix(".json")) for name in folder.names() if name.endswith(".json"))
    return tuple(_read(folder.read_json(f"{number}.json")) for number in numbers)


def write_extension(run: Folder, extension: Extension) -> None:
    """Write one more extension of a run, after those that it has."""
    run.child(EXTENSIONS).write_json(f"{1 + len(read_extensions(run))}.json", asdict(extension))


def _read(record: dict[str, Any]) -> Extension:
    return Extension(**{**record, "spent": Spent(**record["spent"])})
