"""Reads and writes what the ensemble answered, an image at a time.

A network's answers are a JSON file beside its recipe. `broken_by` has one character for each validation image, in
order: `c` the clean image is labelled wrong, `1` APGD on cross-entropy broke it, `2` targeted APGD, `3` targeted FAB,
`4` Square, `-` it stands. While a network is being attacked, the text is shorter than its images are many.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.autoattack import networks

ANSWERS = Path(__file__).parent / "answers"
ATTACKS = ("apgd-ce", "apgd-t", "fab-t", "square")  # in the order of the standard ensemble, and of the digits 1 to 4
CLEAN, STANDS = "c", "-"


@dataclass(frozen=True)
class Answers:
    """What the ensemble answered for one network.

    Attributes:
        recipe: the network's recipe.
        sha256: hash of the file of its weights.
        epsilon: radius of the L-infinity ball.
        ensemble: name and version of what attacked.
        images: number of images that are to be attacked.
        broken_by: what broke each image that was attacked so far.
        seconds: by attack; processor time on a CPU, time when its work is done on a card.
        device: what the network lay on, `cpu` or `cuda`.
    """

    recipe: dict[str, Any]
    sha256: str
    epsilon: float
    ensemble: str
    images: int
    broken_by: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    device: str = "cpu"

    @property
    def complete(self) -> bool:
        """Whether all images were attacked."""
        return len(self.broken_by) == self.images

    @property
    def stands(self) -> NDArray[np.bool_]:
        """(n,) whether an image is labelled right, and was broken by no attack."""
        return np.array([one == STANDS for one in self.broken_by])


def path_of(name: str) -> Path:
    """Where the answers of a network lie."""
    return ANSWERS / f"{name}.json"


def read(name: str) -> Answers | None:
    """Reads a network's answers; None: there are none yet.

    Raises:
        ValueError: they are of other weights than the ones that lie beside them.
    """
    path = path_of(name)
    if not path.exists():
        return None
    answers = Answers(**json.loads(path.read_text()))
    if answers.sha256 != weights_hash(name):
        raise ValueError(f"{path}: is of other weights than {networks.path_of(name)}")
    return answers


def write(name: str, answers: Answers) -> None:
    """Writes a network's answers, in place of earlier ones."""
    path = path_of(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(answers), indent=1) + "\n")


def weights_hash(name: str) -> str:
    """Returns the hash of the file of a network's weights."""
    return hashlib.sha256(networks.path_of(name).read_bytes()).hexdigest()
