"""Finds the reference point of the hypervolume, which bounds the region that a search is about.

A recipe outside the region, since it gives up too much robustness or costs more than the reference, counts as nothing.
The rule is the study's; search and analysis find the point from the same numbers by the functions here.
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, PlainSerializer, field_validator

from analysis.pareto.frontier import compute_metric, metric
from analysis.run.trials import Run, Trial
from trainables.config import Frozen

FORM = re.compile(r"(?P<value>[0-9.]+(?:[eE][+-]?[0-9]+)?)(?:\s+of\s+(?P<of>reference|base))?")
EXPECTED = "a number, or a share such as `0.8 of reference` or `1 of base`"


class Limit(Frozen):
    """One bound of the region: a number, or a share of what the reference or the ordinary base has.

    Attributes:
        value: the number, in the metric's unit, or the share.
        of: whose value it is a share of; None: it is no share.
    """

    value: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    of: Literal["reference", "base"] | None = None

    def of_values(self, *, reference: float, base: float) -> float:
        """Return the bound, given the values of reference and base in its metric."""
        return self.value * {None: 1.0, "reference": reference, "base": base}[self.of]

    def __str__(self) -> str:
        return f"{self.value:g}" + (f" of {self.of}" if self.of else "")


def _read(written: Any) -> Any:
    if isinstance(written, str):
        found = FORM.fullmatch(written.strip())
        try:
            return {"value": float(found["value"]), "of": found["of"]} if found else _refuse(written)
        except ValueError:
            return _refuse(written)
    if isinstance(written, bool) or not isinstance(written, int | float):
        return written if isinstance(written, Limit) else _refuse(written)
    return {"value": float(written)}


def _refuse(written: Any) -> Any:
    raise ValueError(f"got {written!r}, expected {EXPECTED}")


def _written(limit: Limit) -> str | float:
    return limit.value if limit.of is None else str(limit)


Words = Annotated[Limit, BeforeValidator(_read), PlainSerializer(_written)]


class ReferencePoint(Frozen):
    """The rule by which the reference point follows from the results of the reference and the ordinary base.

    Attributes:
        robust_accuracy: the least robust accuracy, 0–1; of several bounds, the largest counts.
        compute: the most compute, in FLOPs, marginal or end-to-end as the study's objectives say.
    """

    robust_accuracy: Annotated[tuple[Words, ...], Field(min_length=1)] = (
        Limit(value=0.8, of="reference"),
        Limit(value=1.0, of="base"),
    )
    compute: Words = Limit(value=1.1, of="reference")

    @field_validator("robust_accuracy", mode="before")
    @classmethod
    def _one_or_several(cls, given: Any) -> Any:
        return given if isinstance(given, list | tuple) else [given]

    @field_validator("robust_accuracy")
    @classmethod
    def _is_accuracy(cls, limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
        if too_large := [str(limit) for limit in limits if limit.value > 1]:
            raise ValueError(f"got {', '.join(too_large)}, expected numbers and shares in [0, 1]")
        return limits

    @field_validator("compute")
    @classmethod
    def _is_compute(cls, limit: Limit) -> Limit:
        if limit.of == "base" or limit.value == 0:
            raise ValueError(f"got {limit}, expected FLOPs above 0, or a share of the reference's")
        return limit

    def least_robust_accuracy(self, *, reference: float, base: float) -> float:
        """Return the robust accuracy that bounds the region; NaN where one that it is a share of is not a number."""
        limits = [limit.of_values(reference=reference, base=base) for limit in self.robust_accuracy]
        return math.nan if any(math.isnan(one) for one in limits) else max(limits)

    def point(self, *, reference: float, base: float, compute: float) -> NDArray[np.float64] | None:
        """Return the reference point. Recipes that are less robust, or cost more, add nothing to the hypervolume.

        Args:
            reference: robust accuracy of the reference, 0–1.
            base: robust accuracy of the ordinary base, 0–1.
            compute: compute of the reference, in FLOPs.

        Returns:
            `(2,)`: robust accuracy and decades of compute; None if either is not a number, or the compute is 0.
        """
        most = self.compute.of_values(reference=compute, base=math.nan)
        if not most > 0:
            return None
        point = np.array([self.least_robust_accuracy(reference=reference, base=base), math.log10(most)])
        return point if np.isfinite(point).all() else None


DEFAULT = ReferencePoint()
# The rule before version 0.3, by which runs are read whose run.json names none.
BEFORE = ReferencePoint(robust_accuracy=(Limit(value=1.0, of="base"),))


def rule_of(info: Mapping[str, Any]) -> ReferencePoint:
    """Return the rule of a run, from its run.json."""
    return ReferencePoint.model_validate(info["reference_point"]) if "reference_point" in info else BEFORE


def reference_point_of(run: Run) -> NDArray[np.float64] | None:
    """Return a run's reference point; None unless base and reference have finished, from whose numbers it follows."""
    base, reference = run.base, run.reference
    if base is None or reference is None:
        return None
    robust = {"reference": metric(reference, "robust_accuracy"), "base": metric(base, "robust_accuracy")}
    return rule_of(run.info).point(**robust, compute=metric(reference, compute_metric(run.info)))


def least_of(run: Run) -> float | None:
    """Return the least robust accuracy of the region that a study asks for, 0–1; None while it is not known."""
    point = reference_point_of(run)
    return None if point is None else float(point[0])


def outside(run: Run, trial: Trial) -> str | None:
    """Return in words why a finished trial lies outside the region; None: it lies inside, or there is no region yet."""
    return beyond(reference_point_of(run), trial, compute_metric(run.info))


def beyond(point: NDArray[np.float64] | None, trial: Trial, compute: str) -> str | None:
    """Return the same as `outside` for a point that was found once for many trials, and the metric of compute."""
    if point is None:
        return None
    robust, flops = metric(trial, "robust_accuracy"), metric(trial, compute)
    if robust <= point[0]:
        return f"its robust accuracy, {robust:.3f}, is not above {point[0]:.3f}"
    if flops > 10.0 ** point[1]:
        return f"its compute, {flops:.3g} FLOPs, is above {10.0 ** point[1]:.3g}"
    return None
