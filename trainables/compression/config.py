"""Defines what a study may say of pruning, quantization and the user's own compression. Imports no torch.

To add a method, add a class here, whose `implementation` says where its compressor lies, and its name in `Compression`.
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
ROUGH_RATIOS = (0.0, 0.5, 0.8, 0.95)  # the same for a rough estimate
COUNTED_PER_OCTAVE = 4  # number of values of `mac_ratio` whose networks are counted, for each factor of 2


class Method(Frozen):
    """Base of every compression method's configuration.

    Each method also has `steps`, a field or a constant: the number of epochs that begin with a step of compression; the
    first of them is the first epoch of the recipe's training, or that of the last step of the method before.

    Attributes:
        implementation: `package.module:name` of what makes the method's compressor from the configuration and `seed`;
            it is imported only when a compressor is made; None: the network is left as it is.
    """

    implementation: ClassVar[str | None]

    def counted_as(self, *, roughly: bool = False) -> "tuple[tuple[Compression, float], ...]":
        """Returns the compressions whose networks are counted to estimate the compute of this one, with their weights.

        The weights add up to 1, and the estimate is the product of each network's compute to the power of its weight. A
        method with a continuous amount returns its neighbours on a grid, so that few networks are counted for many
        candidates. Where nothing is returned, the network of this method itself is counted.

        Args:
            roughly: count on a coarse grid, which is enough for the mean of many candidates.
        """
        return ()

    def follows_weights(self) -> bool:
        """Returns whether the sizes of the network's layers depend on its weights: untrained ones give about them."""
        return False

    def words(self) -> str:
        """Describes the method in a few words, for tables and progress lines, without settings at their defaults."""
        told = self.model_dump(exclude_defaults=True)
        return " ".join([str(getattr(self, "method", "")), *(f"{key} {value}" for key, value in told.items())])


class NoCompression(Method):
    """No compression: the network keeps every channel."""

    implementation: ClassVar[str | None] = None
    steps: ClassVar[int] = 1
    method: Literal["none"] = "none"

    def words(self) -> str:
        return "dense"


class ChannelPruning(Method):
    """Channel pruning: whole channels are removed before training, and also during it if asked for.

    Exactly one of the two ratios is given. Both are relative to the network that the recipe starts from.

    Attributes:
        pruning_ratio: share of channels to remove; the share of MACs that is left is about the square of the share of
            channels that is left. The number of channels that stay is rounded down in floating point, as in
            torch-pruning: 0.8 of 160 leaves 31, not 32.
        mac_ratio: share of the MACs to keep; the channel ratio that leaves no more is found by measuring.
        steps: number of steps in which the ratio is reached, one before each of the first `steps` epochs; 1: all at
            once, before training. After step i of n, 1 - (1 - i/n)^3 of the channels to remove are removed (arXiv
            1710.01878, eq. 1): most of them early, when the network has most to spare and most time to recover.
        importance: how the value of a channel is measured; the least valuable go first. L1 or L2 norm of its weights;
            first-order Taylor, |weight × gradient| of the clean loss (arXiv 1906.10771); or a random number.
        scope: whether channels are ranked across the network (global) or inside each layer (uniform). Inside layers,
            one that would lose all of its channels keeps all of them, and is named among those left as they are.
        taylor_examples: number of training images that the Taylor gradient is computed on.
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

    def follows_weights(self) -> bool:
        return self.scope == "global" and self.importance != "random"

    def counted_as(self, *, roughly: bool = False) -> "tuple[tuple[Compression, float], ...]":
        """Returns the neighbours among the counted ratios, or the nearest share of MACs.

        Taylor counts as L1, as any importance does where each layer loses the same share of its channels.
        """
        as_l1 = roughly or self.importance == "taylor" or self.scope == "uniform"
        plain = self.model_copy(update={"importance": "l1"}) if as_l1 else self
        if self.pruning_ratio is None:
            per_octave = 1 if roughly else COUNTED_PER_OCTAVE
            octaves = min(-1, round(per_octave * math.log2(self.mac_ratio or 1.0)))
            return ((plain.model_copy(update={"mac_ratio": 2.0 ** (octaves / per_octave)}), 1.0),)
        ratios = ROUGH_RATIOS if roughly else COUNTED_RATIOS
        above = bisect_left(ratios, self.pruning_ratio)
        low, high = ratios[above - 1], ratios[above]
        share = math.log((1 - low) / (1 - self.pruning_ratio)) / math.log((1 - low) / (1 - high))
        below = plain.model_copy(update={"pruning_ratio": low}) if low else NoCompression()
        return (below, 1 - share), (plain.model_copy(update={"pruning_ratio": high}), share)

    def words(self) -> str:
        removed, kept = self.pruning_ratio, self.mac_ratio
        amount = f"prune {removed:.0%}" if removed is not None else f"prune to {kept:.0%} of MACs"
        return f"{amount} {self.importance} {self.scope}" + (f" in {self.steps} steps" if self.steps > 1 else "")


def _plain(value: object) -> object:
    """Checks that a value can stand in a recipe's JSON, a scalar or a list of scalars; lists become tuples."""
    several = tuple(value) if isinstance(value, list | tuple) else (value,)
    for one in several:
        if not isinstance(one, bool | int | float | str | None) or (isinstance(one, float) and not math.isfinite(one)):
            raise ValueError(f"got {one!r}, expected a finite number, text, true, false, null, or a list of these")
    return several if isinstance(value, list | tuple) else value


class Settings(Frozen):
    """Values that a study passes to the user's function, by the names of the function's arguments."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Annotated[Any, AfterValidator(_plain)]] = Field(init=False)

    def values(self) -> dict[str, Any]:
        """Returns each argument's name and value; values are scalars and tuples of scalars."""
        return dict(self.__pydantic_extra__)


class UserCompression(Method):
    """The user's own compression method; see `trainables.compression.user_compressor`.

    Attributes:
        method: `module:function`; the function is called with `steps`, `seed` and the settings, by name.
        steps: number of epochs, from the first one on, that begin with a step of the method.
        settings: further keyword arguments of the function.
    """

    implementation: ClassVar[str | None] = "trainables.compression.user_compressor:user_compressor"
    method: str
    steps: PositiveInt = 1
    settings: Settings = Settings()

    def follows_weights(self) -> bool:
        return True  # nothing is known of it

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
    """Quantization-aware training, after pruning: weights and activations are rounded to few bits.

    See `trainables.compression.quantization`.

    Attributes:
        weight_bits: bits of weights, with one range per output channel; 32: floating point.
        activation_bits: bits of activations, with one range per tensor; 32: floating point.
        calibration_examples: number of training images that activation ranges are fitted to at first; in training they
            follow the batches.
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
    """Returns the tag of a configuration's class: its `method`, or that of the user's own; None where it is neither."""
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
    """Describes a recorded compression in a few words; one that this version cannot read by its method's name alone."""
    try:
        return COMPRESSION.validate_python(dict(compression)).words()
    except ValidationError:
        return f"{compression.get('method')} (unknown to this version)"
