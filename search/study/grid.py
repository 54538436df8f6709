"""Describes a grid: recipes that a study lists instead of searching for them, each with several seeds."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from search.study.ranges import OneOrMore
from trainables.attacks.config import CONFIGS, NoPerturbation, Perturbation
from trainables.compression.config import Bits, Importance, Scope
from trainables.config import Frozen, PositiveInt, Several
from trainables.recipe.schedule import Schedule

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="letters, digits, . _ -")]
Ratio = Annotated[float, Field(gt=0, le=0.95, description="a number in (0, 0.95]")]
Score = Literal["robust_accuracy", "robust_accuracy_as_published"]


class Arm(Frozen):
    """One line of the grid's figure: which network is compressed, and how it is trained afterwards.

    Attributes:
        name: name of the arm, in tables and in the figure.
        base: the network that is compressed: `base`, the ordinary one, or a baseline's name.
        perturbation: the attack of fine-tuning.
        schedule: the schedule of fine-tuning; None: the compressed network is scored without fine-tuning.
        score: the metric that the figure shows as robust accuracy: `robust_accuracy`, or the metric that belongs to
            the perturbation.
    """

    name: Name
    base: Name
    perturbation: Perturbation = NoPerturbation()
    schedule: Schedule | None = None
    score: Score = "robust_accuracy"

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.schedule is None and self.perturbation.adversarial:
            raise ValueError(f"got perturbation {self.perturbation.kind} without a schedule, expected both or neither")
        if self.score not in ("robust_accuracy", self.perturbation.own_metric):
            having = [kind for kind, config in CONFIGS.items() if config.own_metric == self.score]
            raise ValueError(
                f"got score {self.score} with perturbation {self.perturbation.kind}, "
                f"expected perturbation {' or '.join(having)}"
            )
        return self


class Grid(Frozen):
    """A grid of recipes: every arm at every level of compression, with every seed.

    Attributes:
        arms: the lines of the figure.
        pruning_ratios: levels of channel pruning, as shares of channels removed.
        importance: how channels are ranked for pruning.
        scope: whether channels are ranked within each layer or across layers.
        bits: levels of quantization, the same for weights and activations.
        seeds: number of seeds, counted up from the study's seed; each seed has its own bases.
    """

    arms: OneOrMore[Arm]
    pruning_ratios: Several[Ratio] = ()
    importance: Importance = "l1"
    scope: Scope = "uniform"
    bits: Several[Bits] = ()
    seeds: PositiveInt = 3

    @field_validator("arms")
    @classmethod
    def _named_apart(cls, arms: tuple[Arm, ...]) -> tuple[Arm, ...]:
        names = [arm.name for arm in arms]
        if len(set(names)) < len(names):
            raise ValueError(f"got names {names}, expected each once")
        return arms

    @field_validator("bits")
    @classmethod
    def _quantizes(cls, bits: tuple[Bits, ...]) -> tuple[Bits, ...]:
        if 32 in bits:
            raise ValueError("got 32, expected at most 16 bits: 32 is not quantized")
        return bits

    @model_validator(mode="after")
    def _has_levels(self) -> Self:
        if not self.pruning_ratios and not self.bits:
            raise ValueError("got neither pruning_ratios nor bits, expected levels of one of them")
        return self
