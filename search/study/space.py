"""Describes what a study searches over: ranges and choices for every part of a recipe."""

from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from trainables.attacks.config import Norm, attack_config, radius
from trainables.compression.config import Bits, Compression, Importance, MacRatio, PruningRatio, Scope
from trainables.config import Frozen, PositiveFloat, PositiveInt, Share
from trainables.losses.config import CrossEntropy, Loss
from trainables.recipe.schedule import Decay, Loop, OrdinaryLoop, Shape
from trainables.user_code import known

SEARCHED = ("fgsm", "n_fgsm", "pgd")  # kinds of attack that can be searched over, beside the user's attacks
AttackKind = Annotated[str, AfterValidator(lambda kind: known(kind, SEARCHED))]
Value = TypeVar("Value")
BASE: Literal["base"] = "base"  # name of the ordinary base, where names of baselines stand too
SCRATCH: Literal["none"] = "none"  # the choice of no base, in a space
Start = Annotated[Literal["base", "none"], BeforeValidator(lambda given: SCRATCH if given is None else given)]


def _several(given: Any) -> Any:
    return given if isinstance(given, list | tuple) else (given,)


OneOrMore = Annotated[tuple[Value, ...], Field(min_length=1), BeforeValidator(_several)]  # one may come without a list


class _Range(Frozen):
    """The range of a searched number; both bounds are included."""

    low: float
    high: float

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"got low {self.low} above high {self.high}, expected low <= high")
        return self


class RatioRange(_Range):
    """The range of pruning ratios, in steps; 0 leaves the network dense."""

    low: PruningRatio = 0.0
    high: PruningRatio = 0.8
    step: Annotated[float, Field(gt=0, le=0.5)] = 0.05


class _Levelled(_Range):
    """The range of a searched number, of which all values are searched, or a few levels for a finite space.

    Attributes:
        levels: number of levels from low to high, both included: at equal ratios if the range is logarithmic, else at
            equal distances. None: the whole range is searched.
    """

    levels: Annotated[int, Field(ge=2)] | None = None

    def values(self, *, log: bool) -> tuple[float, ...]:
        """Return the levels, rising; none if the whole range is searched. `log`: at equal ratios."""
        if self.levels is None:
            return ()
        shares = [index / (self.levels - 1) for index in range(self.levels)]
        if log:
            return tuple(self.low * (self.high / self.low) ** share for share in shares)
        return tuple(self.low + (self.high - self.low) * share for share in shares)


class MacRange(_Levelled):
    """The range of shares of the dense network's MACs that are kept."""

    low: MacRatio
    high: MacRatio


class EpsilonRange(_Levelled):
    """The range of epsilon in training, for pixels in [0, 1]."""

    low: PositiveFloat
    high: PositiveFloat


class IntRange(_Levelled):
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


class RateRange(_Levelled):
    """The range of learning rates, searched on a logarithmic scale."""

    low: PositiveFloat
    high: PositiveFloat


class CompressionSpace(Frozen):
    """The choices of compression: how much is pruned and how, or another method.

    Attributes:
        pruning_ratio: share of channels removed.
        mac_ratio: share of MACs kept; if given, it is searched in place of `pruning_ratio`, and every proposal is
            pruned.
        importance: how channels are ranked.
        scope: whether channels are ranked within each layer or across layers.
        steps: number of steps in which channels are removed, one before each of the first epochs; a proposal takes no
            more steps than it has epochs.
        alternatives: other compression methods with their settings, the user's among them. A proposal has one of
            these, or is pruned as the other fields say.
    """

    pruning_ratio: RatioRange = RatioRange()
    mac_ratio: MacRange | None = None
    importance: Annotated[tuple[Importance, ...], Field(min_length=1)] = ("l1",)
    scope: Annotated[tuple[Scope, ...], Field(min_length=1)] = ("global", "uniform")
    steps: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] = (1,)
    alternatives: tuple[Compression, ...] = ()


class QuantizationSpace(Frozen):
    """The choices of bits that weights and activations are rounded to; 32 leaves them in floating point."""

    weight_bits: Annotated[tuple[Bits, ...], Field(min_length=1)] = (32,)
    activation_bits: Annotated[tuple[Bits, ...], Field(min_length=1)] = (32,)


class PerturbationSpace(Frozen):
    """The choices of the attack that is trained against.

    Attributes:
        norm: norm of the attacks that have an L2 form as well, which are PGD and the user's.
        kind: kinds of attack; a user's attack is called without settings.
        epsilon: the attack's epsilon, for pixels in [0, 1].
        steps: number of steps of the attacks that have one, which is PGD.
        warm_up: share of the training steps over which epsilon rises from 0, 0–1; 0: no warm-up.
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
    """The choices of the schedule: how long and how fast a proposal is fine-tuned.

    Attributes:
        optimizer: the optimizers. All share the range of learning rates, although rates that suit one seldom suit the
            other.
        averaging: decays of the moving average of weights; null: the weights are not averaged.
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
    """The choices of distillation: how much a proposal learns from soft labels, and from which teacher.

    Attributes:
        weight: share of the soft labels in the loss, 0–1; 0: no distillation.
        temperature: temperature of the softmax; it is chosen only if the weight is not 0.
        teacher: `base`, the base that the proposal starts from, or names of baselines, whose compute is charged too;
            it is chosen only if the weight is not 0. A proposal from scratch has no base to learn from: its teacher is
            one of the baselines, and without any among the names it is not distilled.
    """

    weight: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.0,)
    temperature: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (4.0,)
    teacher: Annotated[tuple[str, ...], Field(min_length=1)] = ("base",)


class Space(Frozen):
    """All that is searched: ranges and choices for each part of a recipe.

    Attributes:
        base: what a proposal starts from: `base`, the ordinary base, or `none` (or null), so that the compressed
            network is trained from scratch and no pretraining is charged to it.
        loop: training loops. Free loops are chosen from only if the perturbation is FGSM without warm-up, the loss
            plain cross-entropy and nothing is distilled; otherwise the loop is the ordinary one.
        pretraining_epochs: length of the ordinary pretraining that a proposal starts from; each length is trained once,
            when it is first proposed. None: the length that the study fixes.
    """

    base: OneOrMore[Start] = (BASE,)
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

    @field_validator("base")
    @classmethod
    def _each_once(cls, base: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(base)) < len(base):
            raise ValueError(f"got {list(base)}, expected each once")
        return base

    @model_validator(mode="after")
    def _fits_the_base(self) -> Self:
        problems = []
        if BASE not in self.base and self.pretraining_epochs is not None:
            problems.append(
                "pretraining_epochs: got a range, but no proposal starts from the base; expected base: [base]"
            )
        if BASE not in self.base and any(self.distillation.weight) and set(self.distillation.teacher) == {BASE}:
            problems.append(
                "distillation.teacher: got base, but no proposal starts from it, expected a baseline, or weight 0"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

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
        """Names of the ranges that are searched continuously; a space without any of them is finite."""
        ranges = {
            "compression.mac_ratio": self.compression.mac_ratio,
            "perturbation.epsilon": self.perturbation.epsilon,
            "schedule.learning_rate": self.schedule.learning_rate,
        }
        return tuple(name for name, span in ranges.items() if span is not None and span.levels is None)
