"""The kinds of layers that pruning meets: a network for each, and what of it is left as it is, for which reason."""

from collections.abc import Callable

from torch import nn

from tests.support.kind_networks import (
    AfterHead,
    Auxiliary,
    Beside,
    Buffered,
    ComputedWeights,
    Multiplied,
    Normalized,
    NormalizedBeside,
    OwnAttention,
    Recurrent,
    RigidAttention,
    Scaled,
    SeveralHeads,
    Shared,
    Shuffled,
    Tied,
    Transformer,
    Unused,
    Volumes,
)

SCORES = "it makes the scores"
COMPUTED = "a weight or bias is computed from other tensors in each pass"
STATE = "the state of a recurrent layer keeps its width"
CODE = "the network's code expects its number of channels"
READS = "without some of its channels a layer reads another number of values"
UNEVEN = "its groups would have different numbers of channels"
UNUSED = "it is not used when the network runs"
# For each kind the network, and the layers that are left as they are, with their reasons.
KINDS: dict[str, tuple[Callable[[], nn.Module], dict[str, str]]] = {
    "normalized": (Normalized, {"head": SCORES}),
    "scaled": (Scaled, {"head": SCORES}),
    "transformer": (Transformer, {"head": SCORES}),
    "own attention": (OwnAttention, {"head": SCORES}),
    "rigid attention": (RigidAttention, {"patches": CODE, "qkv": CODE, "back": CODE, "head": SCORES}),
    "unused layer": (Unused, {"head": SCORES, "dead": UNUSED}),
    "layer after the head": (AfterHead, {"head": SCORES}),
    "depthwise multiplier": (Multiplied, {"head": SCORES}),
    "computed weights": (ComputedWeights, {"first": COMPUTED, "second": COMPUTED, "head": SCORES, "third": COMPUTED}),
    "recurrent": (Recurrent, {"lstm": STATE, "gru": STATE, "head": SCORES}),
    "volumes": (Volumes, {"head": SCORES}),
    "several heads": (
        SeveralHeads,
        {
            "second": "its channels reach the scores without another layer between them",
            "head": SCORES,
            "other": SCORES,
        },
    ),
    "shared": (Shared, {"head": SCORES}),
    "tied to products": (Tied, {}),
    "grouped beside others": (Beside, {"grouped": UNEVEN, "plain": UNEVEN, "shortcut": UNEVEN, "head": SCORES}),
    "normalized in groups beside others": (
        NormalizedBeside,
        {"plain": UNEVEN, "shortcut": UNEVEN, "head": SCORES, "grouped.0": UNEVEN},
    ),
    "shuffled": (Shuffled, {"stem": READS, "back": CODE, "head": SCORES}),
    "auxiliary head": (Auxiliary, {"head": SCORES, "extra": "no other layer reads its outputs"}),
    "buffered": (Buffered, {"second": CODE, "head": SCORES}),
}


def transformer(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Makes a network as a study names it, `tests.support.kinds:transformer`; so do the functions below."""
    return Transformer()


def own_attention(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Makes a network whose code keeps the number of heads."""
    return OwnAttention()


def shared(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Makes a network with shared and frozen weights."""
    return Shared()


def auxiliary(image_shape: tuple[int, ...], classes: int) -> nn.Module:
    """Makes a network that gives several outputs in training."""
    return Auxiliary()
