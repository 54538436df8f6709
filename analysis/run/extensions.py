"""Reads by how much the budget of a run's search was extended since it began.

Each `temper resume RUN --budget` writes one file, `extensions/<n>.json`, beside study.yaml, which stays as it is.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from trainables.errors import InvalidInput
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
        planned: number of recipes that the study runs at most from then on, which is no more than a finite space holds;
            None: of a version that did not record it.
    """

    trials: int = 0
    hours: float = 0.0
    flops: float = 0.0
    spent: Spent = Spent()
    planned: int | None = None


def read_extensions(run: Folder) -> tuple[Extension, ...]:
    """Read the extensions of a run in their order; none if it was never extended.

    Raises:
        InvalidInput: one is torn, so that nobody can say what budget is left.
    """
    folder = run.child(EXTENSIONS)
    names = [name.removesuffix(".json") for name in folder.names() if name.endswith(".json")]
    return tuple(_read(folder, f"{number}.json") for number in sorted(int(name) for name in names if name.isdigit()))


def planned_after(planned: int, extensions: Sequence[Extension]) -> int:
    """Return how many recipes a run's study runs at most after its extensions.

    Args:
        planned: number before the first.
        extensions: its extensions, in their order.
    """
    for one in extensions:
        planned = planned + one.trials if one.planned is None else one.planned
    return planned


def write_extension(run: Folder, extension: Extension) -> None:
    """Write one more extension of a run, after those that it has."""
    run.child(EXTENSIONS).write_json(f"{1 + len(read_extensions(run))}.json", asdict(extension), lasting=True)


def _read(folder: Folder, name: str) -> Extension:
    try:
        record = folder.read_json(name)
        return Extension(**{**record, "spent": Spent(**record["spent"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(f"{folder.child(name)}: cannot be read ({error or type(error).__name__})") from error
