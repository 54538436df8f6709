"""Defines constraints: bounds on final numbers that a recipe must satisfy to be of use."""

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from trainables.config import Frozen
from trainables.evaluation.chance import at_chance
from trainables.evaluation.metrics import METRICS

FORM = re.compile(
    r"(?P<metric>[a-z_]+)\s*(?P<sign><=|>=)\s*(?P<bound>[0-9.]+(?:[eE][+-]?[0-9]+)?)(?P<dense>\s+of\s+dense)?"
)
BOUNDED = tuple(one.name for one in METRICS.values() if one.bounded)


class Bound(Frozen):
    """One constraint, written as `clean_accuracy >= 0.85` or `inference_macs <= 0.3 of dense`.

    Attributes:
        metric: the metric of a finished recipe that is bounded.
        at_least: whether the metric must be at least the bound; else it must be at most the bound.
        bound: the bound, in the metric's unit or as a share of the value of the ordinary base.
        of_dense: whether the bound is such a share. The ordinary base is dense: it is not compressed.
    """

    metric: str
    at_least: bool
    bound: float
    of_dense: bool = False

    def violation(self, metrics: Mapping[str, float], base: Mapping[str, float]) -> float:
        """Return how far a recipe is beyond the bound, relative to the bound; 0 or less if it satisfies the constraint.

        Args:
            metrics: final numbers of the recipe.
            base: final numbers of the ordinary base.
        """
        bound = self.bound * base[self.metric] if self.of_dense else self.bound
        beyond = bound - metrics[self.metric] if self.at_least else metrics[self.metric] - bound
        return beyond / bound if bound > 0 else beyond

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{self.metric} {sign} {self.bound:g}" + (" of dense" if self.of_dense else "")


def keeps_all(constraints: Iterable[Bound], metrics: Mapping[str, float], base: Mapping[str, float]) -> bool:
    """Return whether the final numbers of a recipe satisfy every constraint; `base` are those of the ordinary base."""
    return all(bound.violation(metrics, base) <= 0 for bound in constraints)


def eligible(constraints: Iterable[Bound], metrics: Mapping[str, float], base: Mapping[str, float]) -> bool:
    """Return whether a finished recipe may be on the frontier: it is better than chance, and breaks no constraint.

    Args:
        constraints: the study's constraints.
        metrics: final numbers of the recipe.
        base: final numbers of the ordinary base.
    """
    return at_chance(metrics) is None and keeps_all(constraints, metrics, base)


def _read(written: Any) -> Any:
    if not isinstance(written, str):
        return written
    found = FORM.fullmatch(written.strip())
    if found is None or found["metric"] not in BOUNDED:
        raise ValueError(
            f"got {written!r}, expected METRIC <= NUMBER or METRIC >= NUMBER, with `of dense` for a share of the "
            f"ordinary base's; METRIC is one of {', '.join(BOUNDED)}"
        )
    try:
        bound = float(found["bound"])
    except ValueError:
        raise ValueError(f"got {found['bound']!r} in {written!r}, expected a number") from None
    if METRICS[found["metric"]].accuracy and found["dense"] is None and bound > 1:
        raise ValueError(f"got {written!r}, expected a share of the images, 0 to 1")
    return {
        "metric": found["metric"],
        "at_least": found["sign"] == ">=",
        "bound": bound,
        "of_dense": found["dense"] is not None,
    }


Constraint = Annotated[Bound, BeforeValidator(_read)]
