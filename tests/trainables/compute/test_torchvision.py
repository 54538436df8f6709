"""Every classification network of torchvision, counted by Temper and by a count that shares no code with it."""

import math
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torchvision.models import get_model, list_models

from tests.trainables.pruning.test_torchvision import FAMILIES
from trainables.compute.flops import measure

AUXILIARY = ("googlenet", "inception_v3")  # are built without auxiliary heads, and without a slow initialization
PLAIN = {"init_weights": False, "aux_logits": False}


class OnMeta(TorchFunctionMode):
    """Makes parameters on `meta`, so that the largest networks are built in a moment."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


class ByCalls(TorchFunctionMode):
    """Counts products where Python calls them, from shapes and from which factors need a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.flops = 0.0

    def product(self, macs: int, *factors: Tensor) -> None:
        """A product, and a product of the same size for the gradient of each factor that needs one."""
        wanted = sum(factor.requires_grad for factor in factors) if torch.is_grad_enabled() else 0
        self.flops += 2 * macs * (1 + wanted)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if func is torch.conv2d or func is functional.conv2d:
            x, weight = args[:2]
            self.product(out.numel() * weight.shape[1] * weight.shape[2] * weight.shape[3], x, weight)
        elif func is functional.linear:
            x, weight = args[:2]
            self.product(x.numel() * weight.shape[0], x, weight)
        elif func in (torch.matmul, Tensor.matmul, Tensor.__matmul__):
            self.product(out.numel() * args[0].shape[-1], *args[:2])
        elif func is torch.einsum:
            self.einsum(*args)
        elif func is functional.multi_head_attention_forward:
            self.attention(*args, **kwargs)
        elif func is functional.scaled_dot_product_attention:
            raise NotImplementedError
        return out

    def einsum(self, equation: str, *factors: Tensor) -> None:
        """Every letter of the equation is a loop."""
        sizes: dict[str, int] = {}
        for letters, factor in zip(equation.replace(" ", "").split("->")[0].split(","), factors, strict=True):
            sizes |= dict(zip(letters, factor.shape, strict=True))
        self.product(math.prod(sizes.values()), *factors)

    def attention(self, query: Tensor, key: Tensor, value: Tensor, width: int, *rest: Any, **_: Any) -> None:
        """Self-attention (tokens, batch, width): three projections, two products, one projection."""
        tokens, batch, _width = query.shape
        weight, out = rest[1], rest[7]
        self.product(tokens * batch * width * 3 * width, query, weight)
        if torch.is_grad_enabled() and (query.requires_grad or weight.requires_grad):
            self.flops += 2 * 3 * 2 * batch * tokens * tokens * width  # both factors of both products need a gradient
        else:
            self.flops += 2 * 2 * batch * tokens * tokens * width
        inner = query if query.requires_grad else weight
        self.product(tokens * batch * width * width, inner, out)


def by_calls(model: nn.Module, x: Tensor) -> float:
    with ByCalls() as counter:
        model(x)
    flops: float = counter.flops
    return flops


@pytest.mark.parametrize(
    "every", [pytest.param(False, marks=pytest.mark.slow), pytest.param(True, marks=pytest.mark.families)]
)
def test_classification_networks_are_counted_as_by_hand(every: bool) -> None:
    """The smallest of each family in every check, and all of them by `make networks`."""
    names = list_models(module=torchvision.models) if every else list(FAMILIES)
    assert len(names) >= (80 if every else 12)
    for name in names:
        with OnMeta():
            model = get_model(name, weights=None, num_classes=10, **(PLAIN if name in AUXILIARY else {}))
        model.to("meta").eval()
        x = torch.empty(1, 3, 224, 224, device="meta")
        cost = measure(model, x)
        with torch.no_grad():
            assert by_calls(model, x) == cost.forward > 0, name
        assert by_calls(model, x) == cost.full, name
        model.requires_grad_(False)
        assert by_calls(model, x.requires_grad_()) == cost.input_gradient, name
