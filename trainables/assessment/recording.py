"""Makes the record of an evaluation, which knows the images that were attacked by their hash."""

import hashlib

from torch import Tensor

from trainables.assessment.attack_record import AttackRecord
from trainables.assessment.deployed import DeployedEvaluation
from trainables.assessment.evaluate_model import Evaluation


def record_of(
    found: Evaluation, images: Tensor, labels: Tensor, deployed: DeployedEvaluation | None = None
) -> AttackRecord:
    """Return the record of a white-box evaluation.

    Args:
        found: what was found.
        images: `(n, channels, height, width)`, the images that were attacked.
        labels: `(n,)`, their classes.
        deployed: of a quantized network, what was found of its file.
    """
    assert found.scored is not None, "deployed files are recorded elsewhere"
    turns = [(turn.name, turn.given, turn.broken, round(turn.seconds, 3)) for turn in found.turns]
    if deployed is not None:
        turns += [(f"file: {turn.name}", turn.given, turn.broken, round(turn.seconds, 3)) for turn in deployed.turns]
    return AttackRecord(
        images=hash_of(images, labels),
        clean=found.clean,
        scored=found.scored,
        robust=found.robust,
        unreliable=found.unreliable,
        turns=tuple(turns),
        deployed=None if deployed is None else deployed.robust,
    )


def hash_of(images: Tensor, labels: Tensor) -> str:
    """Return 16 hex digits of the SHA-256 of images and labels."""
    digest = hashlib.sha256(images.cpu().numpy().tobytes())
    digest.update(labels.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
