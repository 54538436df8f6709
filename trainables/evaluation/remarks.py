"""Says what is wrong with the numbers of a finished network, in words for people. Imports no torch."""

from collections.abc import Mapping

from trainables.evaluation.chance import learnt_nothing

MASKED = 0.01  # share of zero gradients from which a robust accuracy is doubtful


def remarks(metrics: Mapping[str, float]) -> list[str]:
    """Returns what is wrong with the final numbers of a network: that it learnt nothing, or its attack was blind.

    Args:
        metrics: its final numbers; of those of older versions less is known.
    """
    nothing, doubts = learnt_nothing(metrics), gradient_doubts(metrics)
    return [*([f"has learnt nothing: {nothing}"] if nothing else []), *([doubts] if doubts else [])]


def gradient_doubts(metrics: Mapping[str, float]) -> str | None:
    """Returns what the attack's gradients say against a robust accuracy, in words; None where they say nothing.

    Args:
        metrics: final numbers of a network; those of older versions did not count gradients.
    """
    doubts = []
    zero, not_finite = metrics.get("zero_gradient_share", 0.0), metrics.get("nonfinite_gradients", 0.0)
    if zero > MASKED:
        doubts.append(f"{zero:.1%} of the attack's gradients are zero, so it could not move those images")
    if not_finite:
        doubts.append(f"{not_finite:.0f} of the attack's gradients are not finite")
    return f"{'; '.join(doubts)}: its robust accuracy may be too high" if doubts else None
