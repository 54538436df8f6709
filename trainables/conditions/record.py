"""Writes and reads how a network does under other conditions. Imports no torch."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from trainables.assessment.attack_record import AttackSetting
from trainables.evaluation.config import ThreatModel
from trainables.storage import Folder


@dataclass(frozen=True)
class Conditions:
    """Accuracies (0–1) of one network under other conditions.

    Attributes:
        clean: on the images as they are.
        by_epsilon: under the search's attack in balls of the threat model's norm, by the multiple of its epsilon.
        other: norm and epsilon of the ball of the other norm that has the same volume.
        other_norm: under the search's attack in that ball.
        corruptions: on corrupted images, by corruption, for severities 1 to 5.
        transfers: on images that are wrong for another network, which was attacked in the threat model, by its name.
    """

    clean: float
    by_epsilon: Mapping[float, float]
    other: ThreatModel
    other_norm: float
    corruptions: Mapping[str, tuple[float, ...]]
    transfers: Mapping[str, float]

    @property
    def corrupted(self) -> float:
        """Mean over corruptions and severities."""
        found = [one for severities in self.corruptions.values() for one in severities]
        return sum(found) / len(found)

    def as_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {
            "clean": self.clean,
            "by_epsilon": {f"{multiple:g}": accuracy for multiple, accuracy in self.by_epsilon.items()},
            "other": self.other.model_dump(mode="json"),
            "other_norm": self.other_norm,
            "corruptions": {name: list(found) for name, found in self.corruptions.items()},
            "transfers": dict(self.transfers),
        }

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Self:
        """Reads what `as_json` returned. Raises KeyError, TypeError or ValueError where it is something else."""
        return cls(
            clean=float(content["clean"]),
            by_epsilon={float(multiple): float(one) for multiple, one in content["by_epsilon"].items()},
            other=ThreatModel.model_validate(content["other"]),
            other_norm=float(content["other_norm"]),
            corruptions={str(name): tuple(map(float, found)) for name, found in content["corruptions"].items()},
            transfers={str(name): float(one) for name, one in content["transfers"].items()},
        )


def conditions_file(setting: AttackSetting) -> str:
    """Return the name of the file that holds the result beside the trial's outcome; the ensemble is not part of it."""
    return setting.file.replace(f"attack-{setting.attack}-", "conditions-", 1)


def read_conditions(trial: Folder, setting: AttackSetting, sources: Iterable[str]) -> Conditions | None:
    """Read what was measured of a trial.

    Args:
        trial: its folder.
        setting: threat model and images.
        sources: names of the networks whose examples must have been tried.

    Returns:
        None where it was not measured so, or the file is torn.
    """
    try:
        found = Conditions.of_json(trial.read_json(conditions_file(setting)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if set(sources) <= set(found.transfers) else None
