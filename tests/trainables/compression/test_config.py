"""What configurations say of themselves: the networks that stand for theirs in an estimate, and their words."""

import math

import pytest

from trainables.compression.config import (
    ChannelPruning,
    Compression,
    NoCompression,
    Quantization,
    UserCompression,
    words_of,
)


def ratio_of(compression: Compression) -> float:
    return compression.pruning_ratio or 0.0 if isinstance(compression, ChannelPruning) else 0.0


@pytest.mark.parametrize("ratio", [0.05, 0.1, 0.45, 0.5, 0.63, 0.92, 0.95])
@pytest.mark.parametrize("power", [1, 2])
def test_pruning_ratios_are_interpolated_exactly_where_compute_is_a_power_of_what_is_left(
    ratio: float, power: int
) -> None:
    parts = ChannelPruning(pruning_ratio=ratio, scope="uniform").counted_as()
    counted = math.prod((1 - ratio_of(compression)) ** (power * weight) for compression, weight in parts)
    assert counted == pytest.approx((1 - ratio) ** power)
    assert sum(weight for _, weight in parts) == pytest.approx(1)
    below, above = (ratio_of(compression) for compression, _ in parts)
    assert below < ratio <= above <= below + 0.1 + 1e-9
    assert all(compression.scope == "uniform" for compression, _ in parts if isinstance(compression, ChannelPruning))


@pytest.mark.parametrize(("wanted", "counted"), [(0.5, 0.5), (0.53, 0.5), (0.3, 2**-1.75), (0.99, 2**-0.25)])
def test_shares_of_macs_are_counted_at_the_nearest_quarter_of_an_octave(wanted: float, counted: float) -> None:
    ((compression, weight),) = ChannelPruning(mac_ratio=wanted, importance="taylor").counted_as()
    assert compression == ChannelPruning(mac_ratio=counted)  # and by L1, since Taylor follows the weights
    assert weight == 1


def test_sizes_follow_weights_where_these_are_ranked_across_the_network_or_nothing_is_known() -> None:
    assert ChannelPruning(pruning_ratio=0.5, scope="global").follows_weights()
    assert not ChannelPruning(pruning_ratio=0.5, scope="uniform").follows_weights()
    assert not ChannelPruning(pruning_ratio=0.5, scope="global", importance="random").follows_weights()
    assert UserCompression(method="a:b").follows_weights()
    assert not Quantization().follows_weights()


def test_methods_without_an_amount_are_counted_as_they_are() -> None:
    assert [one.counted_as() for one in (NoCompression(), UserCompression(method="a:b"), Quantization())] == [()] * 3


def test_words_say_what_is_done() -> None:
    assert NoCompression().words() == "dense"
    assert ChannelPruning(pruning_ratio=0.5).words() == "prune 50% l1 global"
    pruned = ChannelPruning(mac_ratio=0.25, importance="taylor", scope="uniform", steps=3)
    assert pruned.words() == "prune to 25% of MACs taylor uniform in 3 steps"
    assert Quantization(weight_bits=4, activation_bits=32).words() == "W4A32"
    assert UserCompression(method="a:b", steps=2).words() == "a:b in 2 steps"


def test_what_a_newer_version_recorded_is_called_by_its_name() -> None:
    assert words_of({"method": "none"}) == "dense"
    assert words_of({"method": "tensor_trains", "rank": 3}) == "tensor_trains (unknown to this version)"
    newer = {"method": "channel_pruning", "pruning_ratio": 0.5, "new": 1}
    assert words_of(newer) == "channel_pruning (unknown to this version)"
