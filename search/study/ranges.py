"""Defines the ranges that a space may give in place of a list of choices, and lists that may come as one value."""

from collections.abc import Mapping
from math import floor
from typing import Annotated, Any, Self, TypeVar

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from trainables.compression.config import MacRatio, PruningRatio
from trainables.config import LISTED, RANGE, SINGLE, Frozen, Length, PositiveFloat, PositiveInt, Share, as_list
from trainables.recipe.schedule import Decay, Momentum, WeightDecay

Value = TypeVar("Value")
OneOrMore = Annotated[tuple[Value, ...], Field(min_length=1), BeforeValidator(as_list)]  # one may come without a list


class _Range(Frozen):
    """The range of a searched number.

    Attributes:
        low, high: its bounds, which are included.
    """

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"got low {self.low} above high {self.high}, expected low <= high")
        return self


class RatioRange(_Range):
    """The range of pruning ratios, in steps; 0 leaves the network dense.

    Attributes:
        step: the difference between one ratio and the next.
    """

    low: PruningRatio = 0.0
    high: PruningRatio = 0.8
    step: Annotated[float, Field(gt=0, le=0.5)] = 0.05

    @property
    def last(self) -> float:
        """The last ratio that the steps come to, which runs of earlier versions may have below `high`."""
        count = floor((self.high - self.low) / self.step + 1e-6)  # an exact multiple may come out a little lower
        return round(self.low + self.step * count, 10)


class Levelled(_Range):
    """The range of a searched number, of which all values are searched, or a few levels for a finite space.

    Attributes:
        levels: number of levels from low to high, both included: at equal ratios if the range is logarithmic, else at
            equal distances. None: the whole range is searched.
    """

    levels: Annotated[int, Field(ge=2)] | None = None

    @property
    def is_endless(self) -> bool:
        """Whether there are more numbers in it than can be listed."""
        return self.levels is None and self.low < self.high

    def values(self, *, log: bool) -> tuple[float, ...]:
        """Return the levels, rising; none if the whole range is searched. `log`: at equal ratios."""
        if self.levels is None:
            return ()
        shares = [index / (self.levels - 1) for index in range(self.levels)]
        if log:
            return tuple(self.low * (self.high / self.low) ** share for share in shares)
        return tuple(self.low + (self.high - self.low) * share for share in shares)


class MacRange(Levelled):
    """The range of shares of the dense network's MACs that are kept."""

    low: MacRatio
    high: MacRatio


class EpsilonRange(Levelled):
    """The range of epsilon in training, for pixels in [0, 1]."""

    low: Length
    high: Length


class IntRange(Levelled):
    """A range of whole numbers.

    Attributes:
        log: whether it is searched on a logarithmic scale.
    """

    low: PositiveInt
    high: PositiveInt
    log: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """All numbers that can be drawn, rising; levels are rounded."""
        if self.levels is None:
            return tuple(range(int(self.low), int(self.high) + 1))
        return tuple(dict.fromkeys(round(level) for level in self.values(log=self.log)))


class LogRange(Levelled):
    """A range of numbers above 0 that is searched on a logarithmic scale."""

    low: PositiveFloat
    high: PositiveFloat


class RateRange(LogRange):
    """The range of learning rates, searched on a logarithmic scale."""


class ShareRange(Levelled):
    """A range of shares, 0–1."""

    low: Share
    high: Share


class DecayRange(Levelled):
    """The range of decays of the moving average of weights, searched by the logarithm of 1 - decay.

    So .9, .99 and .999 are equally far apart.
    """

    low: Decay
    high: Annotated[Decay, Field(le=0.999999)]

    @property
    def rates(self) -> LogRange:
        """The range of 1 - decay, the share by which the average moves towards the weights in a step."""
        return LogRange(low=round(1 - self.high, 9), high=round(1 - self.low, 9))

    @property
    def decays(self) -> tuple[float, ...]:
        """The levels, rising; none if the whole range is searched."""
        rates = self.rates.model_copy(update={"levels": self.levels}).values(log=True)
        return tuple(float(f"{1 - rate:.9g}") for rate in reversed(rates))


def _form(given: Any) -> str:
    return RANGE if isinstance(given, Mapping | _Range) else LISTED


def _form_or_single(given: Any) -> str:
    return SINGLE if isinstance(given, int | float) else _form(given)


def _list_or_single(given: Any) -> str:
    return LISTED if isinstance(given, list | tuple) else SINGLE


# What may be a list (or one value), or a range:
Shares = Annotated[Annotated[OneOrMore[Share], Tag(LISTED)] | Annotated[ShareRange, Tag(RANGE)], Discriminator(_form)]
Temperatures = Annotated[
    Annotated[OneOrMore[PositiveFloat], Tag(LISTED)] | Annotated[LogRange, Tag(RANGE)], Discriminator(_form)
]
Decays = Annotated[
    Annotated[OneOrMore[Decay | None], Tag(LISTED)] | Annotated[DecayRange, Tag(RANGE)], Discriminator(_form)
]
# What was a single number at first, and is written to study.yaml as it was given:
Momenta = Annotated[
    Annotated[Momentum, Tag(SINGLE)] | Annotated[OneOrMore[Momentum], Tag(LISTED)], Discriminator(_list_or_single)
]
WeightDecays = Annotated[
    Annotated[WeightDecay, Tag(SINGLE)]
    | Annotated[OneOrMore[WeightDecay], Tag(LISTED)]
    | Annotated[LogRange, Tag(RANGE)],
    Discriminator(_form_or_single),
]
