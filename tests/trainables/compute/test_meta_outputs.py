"""Operators whose outputs are remembered on `meta` are counted, and behave, as those that run."""

import torch
from torch import Tensor, nn

from trainables.compute import meta_outputs
from trainables.compute.counter import FlopCounter
from trainables.compute.flops import PassCost, forward_flops, measure
from trainables.compute.meta_outputs import is_repeatable, run_on_meta

ATEN = torch.ops.aten


def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.empty(shape, dtype=dtype, device="meta")


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Hardswish(inplace=True), nn.Conv2d(8, 8, 3, groups=4), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def test_a_network_costs_the_same_when_its_operators_are_remembered() -> None:
    x = torch.rand(1, 3, 9, 9)
    meta_outputs._OUTPUTS.clear()
    first: PassCost = measure(network(), x)
    known = len(meta_outputs._OUTPUTS)
    assert measure(network(), x) == first
    assert len(meta_outputs._OUTPUTS) == known > 10


def test_an_outer_counter_sees_what_is_remembered() -> None:
    x, counts = torch.rand(1, 3, 9, 9), []
    for _ in range(3):
        with FlopCounter() as outer:
            forward_flops(network(), x)
        counts.append(outer.flops)
    assert counts == [forward_flops(network(), x)] * 3


def test_numbers_of_another_type_are_another_call() -> None:
    add = ATEN.add.Scalar
    for _ in range(2):
        assert run_on_meta(add, (empty(3, dtype=torch.int64), 1), {})[0].dtype == torch.int64
        assert run_on_meta(add, (empty(3, dtype=torch.int64), 1.0), {})[0].dtype == torch.float32


def test_what_changes_in_place_is_returned_itself() -> None:
    for expected in (True, False):
        x = empty(3, 17)
        out, ran = run_on_meta(ATEN.hardswish_.default, (x,), {})
        assert out is x
        assert ran == expected


def test_strides_and_missing_gradients_are_remembered() -> None:
    x, weight = empty(2, 4, 6, 6).to(memory_format=torch.channels_last), empty(4, 4, 3, 3)
    out = ATEN.convolution.default(x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    call = (out, x, weight, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [False, True, False])
    for _ in range(2):
        none, gradient, bias = run_on_meta(ATEN.convolution_backward.default, call, {})[0]
        assert none is None
        assert bias is None
        assert gradient.shape == weight.shape
    again = run_on_meta(ATEN.relu.default, (x,), {})[0], run_on_meta(ATEN.relu.default, (x,), {})[0]
    assert again[0].stride() == again[1].stride() == x.stride()


def test_views_and_changes_of_shape_are_not_repeated() -> None:
    assert not is_repeatable(ATEN.view.default)
    assert not is_repeatable(ATEN.slice.Tensor)
    assert not is_repeatable(ATEN.resize_.default)


def test_batch_normalization_has_the_shapes_and_strides_that_pytorch_gives_it() -> None:
    forward, backward = ATEN.native_batch_norm.default, ATEN.native_batch_norm_backward.default
    weight = empty(6)
    plain, last = empty(2, 6, 5, 5), empty(2, 6, 5, 5).to(memory_format=torch.channels_last)
    others = empty(2, 6), last[:, :, ::2], plain.bfloat16(), empty(1, 1, 1, 1).expand(2, 6, 5, 5)

    def described(outputs: tuple[Tensor | None, ...]) -> list[object]:
        return [one if one is None else (one.shape, one.stride(), one.dtype) for one in outputs]

    ran = []
    for x in (plain, last, *others):
        args = (x, weight, weight, weight, weight, True, 0.1, 1e-5)
        out, one = run_on_meta(forward, args, {})
        assert described(out) == described(forward(*args))
        ran.append(one)
        for gradient in (plain, last, torch.empty_like(plain[:1, :1, :1, :1]).expand(2, 6, 5, 5)):
            if x.shape != gradient.shape:
                continue
            for wanted in ([True, True, True], [True, False, False], [False, True, True]):
                args = (gradient, x, weight, weight, weight, weight, weight, True, 1e-5, wanted)  # type: ignore[assignment]
                assert described(run_on_meta(backward, args, {})[0]) == described(backward(*args))
    assert ran[:2] == [False, False]
