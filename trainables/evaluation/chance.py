"""Tells whether a finished network has learnt anything, from its final numbers. Imports no torch.

The chance level is what a network would reach that names the largest class for every image: that class's share of the
images that were scored. It has a sampling error, since those are few. Runs and recordings of older versions did not
measure it; then nothing is known, and no network is taken for one that learnt nothing.
"""

import math
from collections.abc import Mapping

STANDARD_ERRORS = 2.0  # by which an accuracy must be above the chance level to count as above it


def chance_error(chance: float, examples: int) -> float:
    """Returns the standard error of the chance level (0–1), the binomial one over the scored images."""
    return math.sqrt(chance * (1 - chance) / examples)


def chance_limit(metrics: Mapping[str, float]) -> float | None:
    """Returns the accuracy that a network must exceed to be above chance, 0–1; None where it was not measured."""
    chance, error = metrics.get("chance_accuracy"), metrics.get("chance_accuracy_stderr")
    return None if chance is None or error is None else chance + STANDARD_ERRORS * error


def learnt_nothing(metrics: Mapping[str, float]) -> str | None:
    """Returns why a network has learnt nothing, in words; None where it has learnt something, or nothing is known.

    Args:
        metrics: its final numbers.
    """
    if metrics.get("answers_one_class"):
        return "it answers one class for every image"
    return _not_above(metrics, "clean_accuracy", "clean accuracy")


def at_chance(metrics: Mapping[str, float]) -> str | None:
    """Returns why a network is no better than chance, on clean images or under attack, in words; None where it is.

    Such a network is on no frontier, and no verdict compares with it.

    Args:
        metrics: its final numbers.
    """
    return learnt_nothing(metrics) or _not_above(metrics, "robust_accuracy", "robust accuracy")


def _not_above(metrics: Mapping[str, float], name: str, words: str) -> str | None:
    limit, accuracy = chance_limit(metrics), metrics.get(name)
    if limit is None or accuracy is None or accuracy > limit:
        return None
    return (
        f"its {words} of {accuracy:.3f} is not {STANDARD_ERRORS:g} standard errors above the chance level of "
        f"{metrics['chance_accuracy']:.3f} ± {metrics['chance_accuracy_stderr']:.3f}"
    )
