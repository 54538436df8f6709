"""Writes and reads how a network does under other conditions. Imports no torch."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from trainables.assessment.attack_record import AttackSetting
from trainables.evaluation.config import ThreatModel
from trainables.storage import Folder

CLEAN, ROBUST = "clean", "robust"
THE_BASE = "base"  # the name of the ordinary base among the networks whose examples are tried


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
        other_data: on images of another data set of the same classes, by its name: as they are, and under the search's
            attack in the threat model.
        images: hash of the images and labels that it was measured on; empty: a record of before, which has none.
    """

    clean: float
    by_epsilon: Mapping[float, float]
    other: ThreatModel
    other_norm: float
    corruptions: Mapping[str, tuple[float, ...]]
    transfers: Mapping[str, float]
    other_data: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    images: str = ""

    @property
    def corrupted(self) -> float:
        """Mean over corruptions and severities."""
        found = [one for severities in self.corruptions.values() for one in severities]
        return sum(found) / len(found)

    def with_those_of(self, earlier: "Conditions | None") -> "Conditions":
        """Returns this with the transfers and other data that an earlier measurement on the same images has beside."""
        if earlier is None or earlier.images != self.images:
            return self
        return replace(
            self,
            transfers={**earlier.transfers, **self.transfers},
            other_data={**earlier.other_data, **self.other_data},
        )

    def of_sources(self, names: Collection[str]) -> "Conditions":
        """Returns this with the transfers from these networks alone."""
        return replace(self, transfers={name: one for name, one in self.transfers.items() if name in names})

    def as_json(self) -> dict[str, Any]:
        """Returns plain data."""
        return {
            "images": self.images,
            "clean": self.clean,
            "by_epsilon": {f"{multiple:g}": accuracy for multiple, accuracy in self.by_epsilon.items()},
            "other": self.other.model_dump(mode="json"),
            "other_norm": self.other_norm,
            "corruptions": {name: list(found) for name, found in self.corruptions.items()},
            "transfers": dict(self.transfers),
            "other_data": {name: {CLEAN: clean, ROBUST: robust} for name, (clean, robust) in self.other_data.items()},
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
            other_data={
                str(name): (float(one[CLEAN]), float(one[ROBUST]))
                for name, one in content.get("other_data", {}).items()  # a record of before has none
            },
            images=str(content.get("images", "")),
        )


def conditions_file(setting: AttackSetting) -> str:
    """Return the name of the file that holds the result beside the trial's outcome; the ensemble is not part of it."""
    return setting.file.replace(f"attack-{setting.attack}-", "conditions-", 1)


def read_conditions(
    trial: Folder, setting: AttackSetting, sources: Iterable[str], other_data: Iterable[str] = ()
) -> Conditions | None:
    """Read what was measured of a trial.

    Args:
        trial: its folder.
        setting: threat model and images.
        sources: names of the networks whose examples must have been tried.
        other_data: names of the other data sets that it must have been measured on.

    Returns:
        None where it was not measured so, or the file is torn.
    """
    try:
        found = Conditions.of_json(trial.read_json(conditions_file(setting)))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    whole = set(sources) <= set(found.transfers) and set(other_data) <= set(found.other_data)
    return found if whole else None
