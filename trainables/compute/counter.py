"""Counts the FLOPs of whatever PyTorch runs in a context, by the rules in `operators`."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Self, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils._pytree import tree_map_only

from trainables.compute.meta_outputs import is_repeatable, run_on_meta
from trainables.compute.operators import Rule, rule_of
from trainables.compute.uncounted import is_left_out, is_view

IMPLICIT = "CompositeImplicitAutograd"  # PyTorch's key of operators that are made of other operators on every device


class FlopCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the FLOPs of the operators that run in its context, forward and backward, on any device.

    On the `meta` device nothing is computed, and a tensor of another device that meets one on `meta` is taken by its
    shape.

    Attributes:
        flops: FLOPs so far.
        by_layer: FLOPs by the layer that was told by `within`, then by operator, such as `aten::convolution`.
        uncounted: numbers that operators without a rule gave, by operator; their FLOPs are missing from all counts.
        numbers: numbers that all operators gave, views of others not counted.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._layers: list[str] = []
        self.flops = 0.0
        self.by_layer: dict[str, dict[str, float]] = {}
        self.uncounted: Counter[str] = Counter()
        self.numbers = 0

    def __enter__(self) -> Self:
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    @contextmanager
    def within(self, layers: Mapping[str, nn.Module]) -> Iterator[None]:
        """Attributes the forward FLOPs in this context to the innermost of these layers, given by name."""
        handles = []
        for name, layer in layers.items():
            # It is called first, so that a layer whose own hook raises was entered before it is left.
            entered = layer.register_forward_pre_hook(lambda *_, name=name: self._layers.append(name), prepend=True)
            handles.append(entered)
            handles.append(layer.register_forward_hook(lambda *_: self._leave(), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs an operator and adds its FLOPs; PyTorch calls this for every operator in the context."""
        kwargs = kwargs or {}
        kind = _kind_of(func)
        if kind.implicit:
            with self:  # so that the operators that it is made of are counted
                made = func.decompose(*args, **kwargs)
            if made is not NotImplemented:
                return made
        on_meta = [value.is_meta for value in _tensors((*args, *kwargs.values()))]
        if any(on_meta) and (not all(on_meta) or kind.moves):
            args, kwargs = _to_meta(args), _to_meta(kwargs)
        outer = _get_current_dispatch_mode_stack()
        counters = [mode for mode in outer if isinstance(mode, FlopCounter)]
        if any(on_meta) and kind.repeatable and len(counters) == len(outer):
            out, ran = run_on_meta(func, args, kwargs)
        else:
            out, ran = func(*args, **kwargs), True
        for counter in (self, *(() if ran else counters)):  # an operator that runs is seen by the outer counters
            counter._add(kind, out, args)
        return out

    def _add(self, kind: "_Kind", out: Any, args: tuple[Any, ...]) -> None:
        numbers = sum(value.numel() for value in _tensors((out,)))
        self.numbers += numbers if kind.computes else 0
        if kind.rule is not None:
            flops = kind.rule(out, *args)
            self.flops += flops
            own = self.by_layer.setdefault(self._layers[-1] if self._layers else "", {})
            own[kind.name] = own.get(kind.name, 0.0) + flops
        elif not kind.left_out:
            self.uncounted[kind.name] += numbers

    def charge_to_outer(self) -> None:
        """Adds what was counted to every counter in whose context this is called, as if it ran now."""
        for outer in _get_current_dispatch_mode_stack():
            if isinstance(outer, FlopCounter):
                outer.flops += self.flops
                outer.numbers += self.numbers
                outer.uncounted += self.uncounted
                for own in self.by_layer.values():
                    there = outer.by_layer.setdefault(outer._layers[-1] if outer._layers else "", {})
                    for name, flops in own.items():
                        there[name] = there.get(name, 0.0) + flops

    def _leave(self) -> None:
        self._layers.pop()


@dataclass(frozen=True)
class _Kind:
    """What the counter does with an operator.

    Attributes:
        name: its name, such as `aten::mm`.
        rule: gives its FLOPs; None: there is no rule.
        implicit: it is made of other operators on every device, and has no rule of its own.
        left_out: the count leaves it out by definition.
        computes: it gives numbers of its own, not another view of its argument's.
        moves: it moves a tensor to a device, so that it would fail for a tensor without values.
        repeatable: equal calls on `meta` have equal outputs, which can be remembered.
    """

    name: str
    rule: Rule | None
    implicit: bool
    left_out: bool
    computes: bool
    moves: bool
    repeatable: bool


@cache
def _kind_of(operator: Any) -> _Kind:
    name, rule = operator.name().partition(".")[0], rule_of(operator)
    implicit = rule is None and torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), IMPLICIT)
    moves, repeatable = name == "aten::_to_copy", is_repeatable(operator)
    return _Kind(name, rule, implicit, is_left_out(operator), not is_view(operator), moves, repeatable)


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    """Returns the tensors among the arguments or outputs of an operator, which may lie in lists."""
    found: list[Tensor] = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, tuple | list):
            found += _tensors(value)
    return found


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Makes PyTorch compute attention and recurrent layers by single products, without a device's fused kernels."""
    fast = torch.backends.mha.get_fastpath_enabled()
    mkldnn, cudnn = cast(Any, torch.backends.mkldnn), cast(Any, torch.backends.cudnn)
    before = mkldnn.enabled, cudnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    mkldnn.enabled = cudnn.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        mkldnn.enabled, cudnn.enabled = before
        torch.backends.mha.set_fastpath_enabled(fast)


def _to_meta(arguments: Any) -> Any:
    """Returns arguments of an operator with all tensors, and the device that is asked for, on `meta`."""
    moved = tree_map_only(Tensor, lambda x: x if x.is_meta else torch.empty_like(x, device="meta"), arguments)
    return tree_map_only(torch.device, lambda _: torch.device("meta"), moved)
