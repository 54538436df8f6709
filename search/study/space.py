"""Describes what a study searches over: ranges and choices for every part of a recipe."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ValidationInfo, field_validator, model_validator

from search.study.ranges import (
    Decays,
    EpsilonRange,
    IntRange,
    Levelled,
    MacRange,
    Momenta,
    OneOrMore,
    RateRange,
    RatioRange,
    ShareRange,
    Shares,
    Temperatures,
    WeightDecays,
)
from trainables.attacks.config import Norm, attack_config, radius
from trainables.compression.config import Bits, Compression, Importance, Scope
from trainables.config import Frozen, PositiveInt, Several, Share
from trainables.losses.config import CrossEntropy, Loss
from trainables.recipe.schedule import Loop, OrdinaryLoop, Shape
from trainables.user_code import known

SEARCHED = ("fgsm", "n_fgsm", "pgd")  # kinds of attack that can be searched over, beside the user's attacks
AttackKind = Annotated[str, AfterValidator(lambda kind: known(kind, SEARCHED))]
BASE: Literal["base"] = "base"  # name of the ordinary base, where names of baselines stand too
SCRATCH: Literal["none"] = "none"  # the choice of no base, in a space
Start = Annotated[Literal["base", "none"], BeforeValidator(lambda given: SCRATCH if given is None else given)]


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
    importance: OneOrMore[Importance] = ("l1",)
    scope: OneOrMore[Scope] = ("global", "uniform")
    steps: OneOrMore[PositiveInt] = (1,)
    alternatives: Several[Compression] = ()


class QuantizationSpace(Frozen):
    """The choices of bits.

    Attributes:
        weight_bits, activation_bits: bits that weights and activations are rounded to; 32: floating point.
    """

    weight_bits: OneOrMore[Bits] = (32,)
    activation_bits: OneOrMore[Bits] = (32,)


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
    kind: OneOrMore[AttackKind] = ("n_fgsm", "pgd")
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
        epochs: number of passes through the training images.
        learning_rate: highest value of the learning rate.
        shape: how the rate changes, as in a schedule.
        batch_size: images per training step.
        optimizer: the optimizers. All share the range of learning rates, although rates that suit one seldom suit the
            other.
        momentum: momentum of SGD, first beta of AdamW: a number, or a list to choose from.
        weight_decay: a number, a list, or a range that is searched on a logarithmic scale.
        averaging: decays of the moving average of weights; null: the weights are not averaged. A range is searched by
            the logarithm of 1 - decay, under the parameter `averaging_rate`, which is 1 - decay.
    """

    epochs: IntRange
    learning_rate: RateRange
    shape: OneOrMore[Shape] = ("one_cycle",)
    batch_size: OneOrMore[PositiveInt] = (64,)
    optimizer: OneOrMore[Literal["sgd", "adamw"]] = ("sgd",)
    momentum: Momenta = 0.9
    weight_decay: WeightDecays = 5e-4
    averaging: Decays = (None,)


class DistillationSpace(Frozen):
    """The choices of distillation: how much a proposal learns from soft labels, and from which teacher.

    Attributes:
        weight: share of the soft labels in the loss, 0–1; 0: no distillation. A list, or a range.
        temperature: temperature of the softmax; it is chosen only if the weight is not 0. A list, or a range that is
            searched on a logarithmic scale.
        teacher: `base`, the base that the proposal starts from, or names of baselines, whose compute is charged too;
            it is chosen only if the weight is not 0. A proposal from scratch has no base to learn from: its teacher is
            one of the baselines, and without any among the names it is not distilled.
    """

    weight: Shares = (0.0,)
    temperature: Temperatures = (4.0,)
    teacher: OneOrMore[str] = ("base",)

    @property
    def teaches(self) -> bool:
        """Whether any proposal may be distilled."""
        return any(self.weight) if isinstance(self.weight, tuple) else self.weight.high > 0


class Space(Frozen):
    """All that is searched: ranges and choices for each part of a recipe.

    Attributes:
        base: what a proposal starts from: `base`, the ordinary base, or `none` (or null), so that the compressed
            network is trained from scratch and no pretraining is charged to it.
        compression: how much is pruned and how, or other methods.
        quantization: to how many bits weights and activations are rounded.
        perturbation: the attacks that are trained against, and how strong they are.
        distillation: how much is learnt from soft labels, and whose.
        schedule: how long and how fast a proposal is trained.
        loss: losses to choose from.
        label_smoothing: share of the label that cross-entropy spreads over all classes: a list, or a range. It is
            chosen only if the loss is cross-entropy, and soft labels do not make up the whole of it. None: as the loss
            says.
        loop: training loops. Free loops are chosen from only if the perturbation is FGSM without warm-up, the loss
            plain cross-entropy and nothing is distilled; otherwise the loop is the ordinary one.
        pretraining_epochs: length of the ordinary pretraining that a proposal starts from; each length is trained once,
            when it is first proposed. None: the length that the study fixes.
    """

    base: OneOrMore[Start] = (BASE,)
    compression: CompressionSpace = CompressionSpace()
    quantization: QuantizationSpace = QuantizationSpace()
    perturbation: PerturbationSpace
    loss: OneOrMore[Loss] = (CrossEntropy(),)
    label_smoothing: Shares | None = None
    loop: OneOrMore[Loop] = (OrdinaryLoop(),)
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
        if BASE not in self.base and self.distillation.teaches and set(self.distillation.teacher) == {BASE}:
            problems.append(
                "distillation.teacher: got base, but no proposal starts from it, expected a baseline, or weight 0"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @model_validator(mode="after")
    def _can_be_smoothed(self) -> Self:
        losses, given = [one for one in self.loss if isinstance(one, CrossEntropy)], self.label_smoothing
        if given is None:
            return self
        if not losses:
            raise ValueError(f"label_smoothing: got it with loss {self.loss[0].kind}, expected loss cross_entropy")
        if any(one.label_smoothing for one in losses):
            raise ValueError("label_smoothing: got it here and in loss, expected it in one of them")
        if (given.high if isinstance(given, ShareRange) else max(given)) == 1:
            raise ValueError("label_smoothing: got 1, which leaves no labels, expected less than 1")
        return self

    @model_validator(mode="after")
    def _can_be_free(self) -> Self:
        choices = {
            "perturbation.kind fgsm": "fgsm" in self.perturbation.kind,
            "perturbation.warm_up 0": 0.0 in self.perturbation.warm_up,
            "loss cross_entropy without label_smoothing": CrossEntropy() in self.loss,
            "distillation.weight 0": _may_be_0(self.distillation.weight),
            "label_smoothing 0": self.label_smoothing is None or _may_be_0(self.label_smoothing),
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
            "schedule.weight_decay": self.schedule.weight_decay,
            "schedule.averaging": self.schedule.averaging,
            "label_smoothing": self.label_smoothing,
            "distillation.weight": self.distillation.weight,
            "distillation.temperature": self.distillation.temperature,
        }
        return tuple(name for name, span in ranges.items() if isinstance(span, Levelled) and span.is_endless)


def _may_be_0(shares: Shares) -> bool:
    """Return whether a share may be chosen to be exactly 0, which a draw from a whole range never is."""
    return 0.0 in shares if isinstance(shares, tuple) else shares.low == 0 and shares.levels is not None
