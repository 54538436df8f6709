"""Finds the threat model of the other norm whose ball is as large."""

import math

from trainables.evaluation.config import ThreatModel


def other_norm(threat_model: ThreatModel, dimensions: int) -> ThreatModel:
    """Returns the threat model of the other norm, L2 for L∞ and L∞ for L2, whose ball has the same volume.

    A cube of half side ε has the volume (2ε)^d, a ball of radius r has π^(d/2) r^d / Γ(d/2 + 1).

    Args:
        threat_model: norm, and epsilon for pixels in [0, 1].
        dimensions: pixels of an image, times its channels.
    """
    unit = math.exp((math.log(math.pi) * dimensions / 2 - math.lgamma(dimensions / 2 + 1)) / dimensions)
    if threat_model.norm == "linf":
        return ThreatModel(norm="l2", epsilon=2 * threat_model.epsilon / unit)
    return ThreatModel(norm="linf", epsilon=threat_model.epsilon * unit / 2)
