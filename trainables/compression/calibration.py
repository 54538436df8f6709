"""Runs a network on a few images, and samples what its layers are given, by which ranges of activations are fitted."""

from typing import Any

import torch
from torch import Tensor, nn

from trainables.compression.quantized_layers import not_finite
from trainables.compression.weight_layers import inputs_of, weighted_layers
from trainables.errors import InvalidInput
from trainables.models.build import frozen

SAMPLE = 65_536  # most activations of each call of a layer that are used to fit its range


def require_finite_weights(model: nn.Module) -> None:
    """Raises InvalidInput that names the first layer with a weight that is not finite, whatever reads its output."""
    for name, layer in weighted_layers(model).items():
        for weight in layer.parameters():
            if not weight.isfinite().all():
                raise InvalidInput(f"quantization: layer {name}: no scale fits its weights: {not_finite(weight)}")


def sampled_inputs(model: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], list[str]]:
    """Runs a network on images, and returns what its layers are given and in which order.

    Returns:
        By layer, a sample of the values of its inputs, over all its calls; and the layers that ran, in the order of
        their calls.

    Raises:
        InvalidInput: an input of a layer is not finite.
    """
    seen: dict[str, list[Tensor]] = {}
    order: list[str] = []
    hooks = []
    for name, layer in weighted_layers(model).items():

        def note(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any], name: str = name) -> None:
            # A network that routes images may give a layer none of them.
            for value in {id(value): value for value in inputs_of(layer, given, named) if value.numel()}.values():
                if not value.isfinite().all():
                    raise InvalidInput(f"quantization: layer {name}: no range fits its input: {not_finite(value)}")
                seen.setdefault(name, []).append(_sample(value.detach().flatten()))
                order.append(name)

        hooks.append(layer.register_forward_pre_hook(note, with_kwargs=True))
    try:
        with frozen(model), torch.no_grad():
            model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return {name: torch.cat(values) if len(values) > 1 else values[0] for name, values in seen.items()}, order


def _sample(values: Tensor) -> Tensor:
    """Returns `SAMPLE` of the values, one from a random place of each of as many equal parts; all of fewer values.

    Values at equal distances would all be of the same columns of an image. The places are the same in each call.
    """
    if len(values) <= SAMPLE:
        return values
    within = torch.rand(SAMPLE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    places = (torch.arange(SAMPLE) + within) * (len(values) / SAMPLE)
    return values[places.long().clamp_(max=len(values) - 1).to(values.device)]
