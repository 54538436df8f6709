"""What a study may say of pruning, of quantization and of a user's own compression. Imports no torch.

A new method is a class here, whose `implementation` says where its compressor lies, and its name in `Compression`.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from trainables.config import Frozen, PositiveInt
from trainables.user_code import is_reference, known

Bits = Literal[2, 3, 4, 5, 6, 7, 8, 16, 32]
Importance = Literal["l1", "l2", "taylor", "random"]
Scope = Literal["global", "uniform"]
MacRatio = Annotated[float, Field(gt=0, lt=1, description="a number in (0, 1)")]
PruningRatio = Annotated[float, Field(ge=0, le=0.95, description="a number in [0, 0.95]")]

COUNTED_RATIOS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)  # pruning ratios whose networks are counted
COUNTED_PER_OCTAVE = 4  # and so many shares of MACs to keep for each factor of 2


class Method(Frozen):
    """Base of every compression method's configuration. Beside this, each has `steps`: a field, or a constant.

    `steps` is how many epochs begin with a step of compression, the first of the recipe's training.

    Attributes:
        implementation: `package.module:name` of what makes its compressor, called with the configuration and `seed`,
            and imported no earlier than that; None: the network is left as it is.
    """

    implementation: ClassVar[str | None]

    def counted_as(self) -> "tuple[tuple[Compression, float], ...]":
        """Which networks stand for this method's in an estimate of compute, each with a weight; weights add up to 1.

        The estimate is the product of their compute to the power of their weights. A method with a continuous amount
        names neighbours on a grid, so that the networks of a few are counted for many candidates. Empty: it is counted
        on its own network.
        """
        return ()

    def words(self) -> str:
        """The method in a few words, for tables and progress lines; what is as usual is not said."""
        told = self.model_dump(exclude_defaults=True)
        return " ".join([str(getattr(self, "method", "")), *(f"{key} {value}" for key, value in told.items())])


class NoCompression(Method):
    """Keep every channel."""

    implementation: ClassVar[str | None] = None
    steps: ClassVar[int] = 1
    method: Literal["none"] = "none"

    def words(self) -> str:
        return "dense"


class ChannelPruning(Method):
    """Remove whole channels (torch-pruning), before training or also during it. Exactly one of the two ratios is given.

    Both are of the network that the recipe starts from.

    Attributes:
        pruning_ratio: share of channels removed; MACs fall by about its square.
        mac_ratio: share of the MACs to keep; the channel ratio that leaves no more is found by measuring.
        steps: in how many steps the ratio is reached, one before each of the first `steps` epochs; 1: all at once,
            before training. What is removed after step i of n is 1 - (1 - i/n)^3 of what is removed in the end
            (arXiv 1710.01878, eq. 1): most of it early, while there is most to spare and most time to recover.
        importance: what a channel is worth, the least goes first: L1 or L2 norm of its weights; first-order Taylor,
            |weight × gradient| of the clean loss (arXiv 1906.10771); or a random number.
        scope: rank channels across the network (global) or inside each layer (uniform).
        taylor_examples: training images that the Taylor gradient is taken on.
    """

    implementation: ClassVar[str | None] = "trainables.compression.pruning:ChannelPruner"
    method: Literal["channel_pruning"] = "channel_pruning"
    pruning_ratio: Annotated[float, Field(gt=0, le=0.95, description="a number in (0, 0.95]")] | None = None
    mac_ratio: MacRatio | None = None
    steps: PositiveInt = 1
    importance: Importance = "l1"
    scope: Scope = "global"
    taylor_examples: PositiveInt = 256

    @model_validator(mode="after")
    def _one_ratio(self) -> Self:
        if (self.pruning_ratio is None) == (self.mac_ratio is None):
            raise ValueError(
                f"got pruning_ratio {self.pruning_ratio} and mac_ratio {self.mac_ratio}, expected one of them"
            )
        return self

    def counted_as(self) -> "tuple[tuple[Compression, float], ...]":
        """Ratios on both sides out of COUNTED_RATIOS, or the nearest share of MACs; Taylor importance as L1."""
        plain = self.model_copy(update={"importance": "l1"}) if self.importance == "taylor" else self
        if self.pruning_ratio is None:
            octaves = min(-1, round(COUNTED_PER_OCTAVE * math.log2(self.mac_ratio or 1.0)))
            return ((plain.model_copy(update={"mac_ratio": 2.0 ** (octaves / COUNTED_PER_OCTAVE)}), 1.0),)
        above = bisect_left(COUNTED_RATIOS, self.pruning_ratio)
        low, high = COUNTED_RATIOS[above - 1], COUNTED_RATIOS[above]
        share = math.log((1 - low) / (1 - self.pruning_ratio)) / math.log((1 - low) / (1 - high))
        below = plain.model_copy(update={"pruning_ratio": low}) if low else NoCompression()
        return (below, 1 - share), (plain.model_copy(update={"pruning_ratio": high}), share)

    def words(self) -> str:
        removed, kept = self.pruning_ratio, self.mac_ratio
        amount = f"prune {removed:.0%}" if removed is not None else f"prune to {kept:.0%} of MACs"
        return f"{amount} {self.importance} {self.scope}" + (f" in {self.steps} steps" if self.steps > 1 else "")


def _plain(value: object) -> object:
    """A value that stands in a recipe's JSON as it is: a scalar, or a tuple of scalars for a list of them."""
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    for one in several:
        if not isinstance(one, bool | int | float | str | None) or (isinstance(one, float) and not math.isfinite(one)):
            raise ValueError(f"got {one!r}, expected a finite number, text, true, false, null, or a list of these")
    return several if isinstance(value, list | tuple) else value


class Settings(Frozen):
    """Values that a study hands to a user's own function, by the names of the function's arguments."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_plain)]] = Field(init=False)

    def values(self) -> dict[str, Any]:
        """Name to value: scalars, and tuples of scalars."""
        return dict(self.__pydantic_extra__)


class UserCompression(Method):
    """A user's own compression method; see `trainables.compression.user_compressor`.

    Attributes:
        method: `module:function`, which is called with `steps`, `seed` and the settings, by name.
        steps: how many epochs begin with a step of it, from the first one on.
        settings: what else the function is called with.
    """

    implementation: ClassVar[str | None] = "trainables.compression.user_compressor:user_compressor"
    method: str
    steps: PositiveInt = 1
    settings: Settings = Settings()

    @field_validator("method")
    @classmethod
    def _is_a_reference(cls, method: str) -> str:
        return known(method, ())

    @field_validator("settings")
    @classmethod
    def _leaves_what_is_given(cls, settings: Settings) -> Settings:
        if given := sorted({"steps", "seed"} & set(settings.values())):
            raise ValueError(f"got {', '.join(given)}, expected other names: the function is given these anyway")
        return settings

    def words(self) -> str:
        settings = "".join(f" {name} {value}" for name, value in self.settings.values().items())
        return f"{self.method}{settings}" + (f" in {self.steps} steps" if self.steps > 1 else "")


class Quantization(Method):
    """Train with rounded weights and activations, after pruning; see `trainables.compression.quantization`.

    Attributes:
        weight_bits: per output channel; 32: floating point.
        activation_bits: per tensor; 32: floating point.
        calibration_examples: training images that activation ranges are fitted to.
    """

    implementation: ClassVar[str | None] = "trainables.compression.quantization:Quantizer"
    steps: ClassVar[int] = 1
    weight_bits: Bits = 8
    activation_bits: Bits = 8
    calibration_examples: PositiveInt = 256

    def words(self) -> str:
        return f"W{self.weight_bits}A{self.activation_bits}"


OWN = UserCompression.__name__
_Methods = (
    Annotated[NoCompression, Tag("none")]
    | Annotated[ChannelPruning, Tag("channel_pruning")]
    | Annotated[UserCompression, Tag(OWN)]
)
NAMED = tuple(tag.tag for _, tag in map(get_args, get_args(_Methods)) if tag.tag != OWN)


def _tag(given: Any) -> str | None:
    """Which class a configuration is of: that of its `method`, or a user's own; None: neither."""
    method = given.get("method") if isinstance(given, dict) else getattr(given, "method", None)
    if method in NAMED:
        return str(method)
    return OWN if isinstance(method, str) and is_reference(method) else None


Compression = Annotated[
    _Methods,
    Discriminator(
        _tag,
        custom_error_type="compression_method",
        custom_error_message=f"a method out of {', '.join(NAMED)}, or module:function",
    ),
]
COMPRESSION: TypeAdapter[Compression] = TypeAdapter(Compression)


def words_of(compression: Mapping[str, Any]) -> str:
    """A recorded compression in a few words; only its name where a newer version recorded what this one cannot read."""
    try:
        return COMPRESSION.validate_python(dict(compression)).words()
    except ValidationError:
        return f"{compression.get('method')} (unknown to this version)"
