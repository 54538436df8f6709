"""What a study searches over, as data: ranges and choices for every part of a recipe."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from trainables.attacks.config import Norm, attack_config, radius
from trainables.compression.config import Bits, Compression, Importance, MacRatio, PruningRatio, Scope
from trainables.config import Frozen, PositiveFloat, PositiveInt, Share
from trainables.losses.config import CrossEntropy, Loss
from trainables.recipe.schedule import Decay, Loop, OrdinaryLoop, Shape
from trainables.user_code import known

SEARCHED = ("fgsm", "n_fgsm", "pgd")  # kinds of attack that can be searched over, beside the user's own
AttackKind = Annotated[str, AfterValidator(lambda kind: known(kind, SEARCHED))]
Value = TypeVar("Value")


def _several(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else (given,)


OneOrMore = Annotated[tuple[Value, ...], Field(min_length=1), BeforeValidator(_several)]  # one may come without a list


class _Range(Frozen):
    """Bounds of a searched number, both included."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"got low {self.low} above high {self.high}, expected low <= high")
        return self


class RatioRange(_Range):
    """Pruning ratios, in steps; 0 leaves the network dense."""

    low: PruningRatio = 0.0
    high: PruningRatio = 0.8
    step: Annotated[float, Field(gt=0, le=0.5)] = 0.05


class _Levelled(_Range):
    """Bounds of a searched number, both included; or only so many levels of it, which makes a finite space.

    Attributes:
        levels: values from low to high, at equal ratios where the range is logarithmic, else at equal distances.
    """

    levels: Annotated[int, Field(ge=2)] | None = None

    def values(self, *, log: bool) -> tuple[float, ...]:
        """The levels, rising; empty where the whole range is searched."""
        if self.levels is None:
            return ()
        shares = [index / (self.levels - 1) for index in range(self.levels)]
        if log:
            return tuple(self.low * (self.high / self.low) ** share for share in shares)
        return tuple(self.low + (self.high - self.low) * share for share in shares)


class MacRange(_Levelled):
    """Shares of the dense network's MACs to keep."""

    low: MacRatio
    high: MacRatio


class EpsilonRange(_Levelled):
    """Training radii, for pixels in [0, 1]."""

    low: PositiveFloat
    high: PositiveFloat


class IntRange(_Levelled):
    """Whole numbers."""

    low: PositiveInt
    high: PositiveInt
    log: bool = False

    @property
    def numbers(self) -> tuple[int, ...]:
        """All that may be drawn, rising; levels are rounded."""
        if self.levels is None:
            return tuple(range(int(self.low), int(self.high) + 1))
        return tuple(dict.fromkeys(round(level) for level in self.values(log=self.log)))


class RateRange(_Levelled):
    """Learning rates, searched by their logarithm."""

    low: PositiveFloat
    high: PositiveFloat


class CompressionSpace(Frozen):
    """How much to compress, and by what.

    Attributes:
        mac_ratio: if given, it is searched in place of `pruning_ratio`, and every proposal is pruned.
        steps: in how many steps, one before each of the first epochs; no more than the proposal has epochs.
        alternatives: other methods, a user's own among them, each with its settings; a proposal has one of these, or
            is pruned as the rest of this says.
    """

    pruning_ratio: RatioRange = RatioRange()
    mac_ratio: MacRange | None = None
    importance: Annotated[tuple[Importance, ...], Field(min_length=1)] = ("l1",)
    scope: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("global", "uniform")
    steps: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    alternatives: tuple[Compression, ...] = ()


class QuantizationSpace(Frozen):
    """Bits to round to; 32 leaves floating point."""

    weight_bits: Annotated[tuple[Bits, ...], Field(min_length=1)] = (32,)
    activation_bits: Annotated[tuple[Bits, ...], Field(min_length=1)] = (32,)


class PerturbationSpace(Frozen):
    """What to train against.

    Attributes:
        norm: of the attacks that have an L2 form as well, which are PGD and the user's own.
        kind: of attack; the user's own is called without settings.
        steps: of the attacks that have a number of steps, which is PGD.
    """

    norm: Norm = "linf"
    kind: Annotated[tuple[AttackKind, ...], Field(min_length=1)] = ("n_fgsm", "pgd")
    epsilon: EpsilonRange
    steps: IntRange = IntRange(low=2, high=10)
    warm_up: OneOrMore[Share] = (0.0,)

    @field_validator("kind")
    @classmethod
    def _has_the_norm(cls, kind: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        if info.data.get("norm") == "l2" and not all("norm" in attack_config(one).model_fields for one in kind):
            having = ", ".join(one for one in SEARCHED if "norm" in attack_config(one).model_fields)
            raise ValueError(f"got {list(kind)} with norm l2, expected [{having}] or module:function")
        return kind

    @field_validator("epsilon")
    @classmethod
    def _in_pixels(cls, epsilon: EpsilonRange, info: ValidationInfo) -> EpsilonRange:
        radius(epsilon.high, info)
        return epsilon


class ScheduleSpace(Frozen):
    """How long and how fast to fine-tune.

    Attributes:
        optimizer: rates that suit one seldom suit the other, and the range of rates is of both.
        averaging: decays; null: the weights themselves.
    """

    epochs: IntRange
    learning_rate: RateRange
    shape: Annotated[tuple[Shape, ...], Field(min_length=1)] = ("one_cycle",)
    batch_size: OneOrMore[PositiveInt] = (64,)
    optimizer: OneOrMore[Literal["sgd", "adamw"]] = ("sgd",)
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4
    averaging: OneOrMore[Decay | None] = (None,)


class DistillationSpace(Frozen):
    """Whose soft labels to learn from, and how; temperature and teacher count where the weight is not 0.

    Attributes:
        weight: share of the soft labels in the loss; 0: none.
        teacher: `base`, which every proposal starts from, or names of baselines, whose compute is charged too.
    """

    weight: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.0,)
    temperature: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (4.0,)
    teacher: Annotated[tuple[str, ...], Field(min_length=1)] = ("base",)


class Space(Frozen):
    """What is searched.

    Attributes:
        loop: the free ones count where the perturbation is FGSM without warm-up, the loss plain cross-entropy and
            nothing distilled; elsewhere the loop is the ordinary one.
        pretraining_epochs: length of the ordinary pretraining that a proposal starts from; each length is trained once,
            when it is first proposed. None: the study's own.
    """

    compression: CompressionSpace = CompressionSpace()
    quantization: QuantizationSpace = QuantizationSpace()
    perturbation: PerturbationSpace
    loss: Annotated[tuple[Loss, ...], Field(min_length=1)] = (CrossEntropy(),)
    loop: Annotated[tuple[Loop, ...], Field(min_length=1)] = (OrdinaryLoop(),)
    distillation: DistillationSpace = DistillationSpace()
    pretraining_epochs: IntRange | None = None
    schedule: ScheduleSpace

    @field_validator("loop")
    @classmethod
    def _has_the_ordinary_one(cls, loops: tuple[Loop, ...]) -> tuple[Loop, ...]:
        if OrdinaryLoop() not in loops:
            raise ValueError(
                f"got {[loop.kind for loop in loops]}, expected ordinary among them: free fits few proposals"
            )
        return loops

    @model_validator(mode="after")
    def _can_be_free(self) -> Self:
        choices = {
            "perturbation.kind fgsm": "fgsm" in self.perturbation.kind,
            "perturbation.warm_up 0": 0.0 in self.perturbation.warm_up,
            "loss cross_entropy without label_smoothing": CrossEntropy() in self.loss,
            "distillation.weight 0": 0.0 in self.distillation.weight,
        }
        missing = [choice for choice, is_there in choices.items() if not is_there]
        if missing and any(loop.kind == "free" for loop in self.loop):
            raise ValueError(f"loop: got free, which no proposal could have, expected {', '.join(missing)} as a choice")
        return self

    @property
    def endless(self) -> tuple[str, ...]:
        """The ranges that hold more values than can be listed; a space without any is finite."""
        ranges = {
            "compression.mac_ratio": self.compression.mac_ratio,
            "perturbation.epsilon": self.perturbation.epsilon,
            "schedule.learning_rate": self.schedule.learning_rate,
        }
        return tuple(name for name, span in ranges.items() if span is not None and span.levels is None)
