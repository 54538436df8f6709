"""Makes the record of an evaluation, which knows the images that were attacked by their hash."""

import hashlib

from torch import Tensor

from trainables.assessment.attack_record import AttackRecord
from trainables.assessment.evaluate_model import Evaluation


def record_of(found: Evaluation, images: Tensor, labels: Tensor) -> AttackRecord:
    """Return the record of a white-box evaluation.

    Args:
        found: what was found.
        images: `(n, channels, height, width)`, the images that were attacked.
        labels: `(n,)`, their classes.
    """
    assert found.scored is not None, "deployed files are recorded elsewhere"
    turns = tuple((turn.name, turn.given, turn.broken, round(turn.seconds, 3)) for turn in found.turns)
    return AttackRecord(hash_of(images, labels), found.clean, found.scored, found.robust, found.unreliable, turns)


def hash_of(images: Tensor, labels: Tensor) -> str:
    """Return 16 hex digits of the SHA-256 of images and labels."""
    digest = hashlib.sha256(images.cpu().numpy().tobytes())
    digest.update(labels.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
