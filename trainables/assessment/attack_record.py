"""Writes and reads what an evaluation found, image by image, in a few kilobytes: enough to go on from elsewhere.

Imports no torch.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from trainables.evaluation.config import Strength, ThreatModel
from trainables.storage import Folder

Bits = NDArray[np.bool_]


@dataclass(frozen=True)
class AttackSetting:
    """What one trained network is attacked by, and on how many images.

    Attributes:
        threat_model: norm and epsilon.
        attack: the ensemble.
        examples: images of the test split; None: all.
        seed: of all that is drawn.
    """

    threat_model: ThreatModel
    attack: Strength
    examples: int | None
    seed: int = 0

    @property
    def file(self) -> str:
        """Name of the file that holds the result beside the trial's outcome."""
        model = self.threat_model
        parts = ["attack", self.attack, model.norm, f"{model.epsilon:.6g}", str(self.examples or "all")]
        return "-".join([*parts, *([str(self.seed)] if self.seed else [])]) + ".json"


@dataclass(frozen=True, eq=False)
class AttackRecord:
    """What was found of one network.

    Attributes:
        images: hash of the images and labels, so that only results on the same ones are compared.
        clean, scored, robust: (n,) right as they are, under the search's attack, and under every attack.
        unreliable: why the numbers cannot be trusted; empty where no check found anything.
        turns: for each attack its name, how many images it was given, how many it broke, and its seconds.
        deployed: of a quantized network, whether an image stands in the file that it is deployed as, too; None of
            others. Then `robust` is of its surrogate, which has gradients.
    """

    images: str
    clean: Bits
    scored: Bits
    robust: Bits
    unreliable: tuple[str, ...]
    turns: tuple[tuple[str, int, int, float], ...]
    deployed: Bits | None = None

    @property
    def counted(self) -> Bits:
        """(n,) what counts as robust: of surrogate and deployed file, that of which fewer images stand."""
        if self.deployed is not None and self.deployed.sum() < self.robust.sum():
            return self.deployed
        return self.robust

    def as_json(self) -> dict[str, Any]:
        """Return plain data; the bits of all images, eight to a byte, in hexadecimal digits."""
        return {
            "images": self.images,
            "examples": len(self.clean),
            **{name: _packed(getattr(self, name)) for name in ("clean", "scored", "robust")},
            **({} if self.deployed is None else {"deployed": _packed(self.deployed)}),
            "unreliable": list(self.unreliable),
            "turns": [list(turn) for turn in self.turns],
        }

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Self:
        """Read what `as_json` returned. Raises KeyError, TypeError or ValueError where it is something else."""
        count = int(content["examples"])

        def bits(name: str) -> Bits:
            packed = np.frombuffer(bytes.fromhex(content[name]), np.uint8)
            found = np.unpackbits(packed)[:count].astype(np.bool_)
            if len(found) != count:
                raise ValueError(f"{name}: got {len(found)} images, expected {count}")
            return found

        deployed = bits("deployed") if "deployed" in content else None
        turns = tuple((str(name), int(given), int(broke), float(s)) for name, given, broke, s in content["turns"])
        unreliable = tuple(str(reason) for reason in content["unreliable"])
        return cls(str(content["images"]), bits("clean"), bits("scored"), bits("robust"), unreliable, turns, deployed)


def _packed(bits: Bits) -> str:
    return np.packbits(bits).tobytes().hex()


def read_attack(trial: Folder, setting: AttackSetting) -> AttackRecord | None:
    """Read what an attack has found of a trial; None: it has not been attacked so, or the file is torn."""
    try:
        return AttackRecord.of_json(trial.read_json(setting.file))
    except (OSError, ValueError, KeyError, TypeError):
        return None
