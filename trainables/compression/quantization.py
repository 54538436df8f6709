"""Implements quantization-aware training: weights and activations are rounded to few bits.

The network computes in floating point with the values that a b-bit integer network would have (arXiv 1712.05877), and
gradients pass straight through the rounding, so that training and attacks work. Weights are quantized symmetrically
with one scale per output channel, activations affinely with one range per tensor, which follows the batches. The first
and the last layer have 8 bits or more, as is usual (arXiv 1805.06085, section 4), since pixels themselves have 8.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from trainables.compression.calibration import require_finite_weights, sampled_inputs
from trainables.compression.compressor import FLOAT, Compressor
from trainables.compression.config import Quantization
from trainables.compression.quantized_layers import (
    NOTED_BITS,
    ActivationQuantizer,
    RoundedInput,
    WeightQuantizer,
    fusible,
    store_weight,
)
from trainables.compression.weight_layers import (
    inputs_of,
    left_in_floating_point,
    transposed_groups,
    weighted_layers,
    weights_of,
)
from trainables.errors import InvalidInput
from trainables.models.build import frozen

OUTER_BITS = 8  # least bits of the first and the last layer
_WEIGHT_QUANTIZER = re.compile(r"((.*)\.parametrizations\.(\w+))\.(\d+)\.share")  # its key in a state_dict
_INPUT_QUANTIZER = re.compile(r"(.*)\.input_quantizer\.scale")


@dataclass(frozen=True)
class _Placement:
    """Says which quantizers a network has.

    Attributes:
        weights: layer and name of each weight that has one, in the order of definition, to its bits.
        inputs: layers whose input has one, in the order of definition, to its bits.
        note: whether each quantizer keeps its bits as a buffer, since they do not follow from the order of definition.
    """

    weights: Mapping[tuple[str, str], int]
    inputs: Mapping[str, int]
    note: bool


class Quantizer(Compressor):
    """Compressor that quantizes every layer with weights that it can in one step; other parameters stay as they are.

    `trainables.compression.weight_layers.left_in_floating_point` lists those. An input that no image for calibration
    reaches has no range to fit, and stays in floating point. The first and last layer are those that run so.
    """

    def __init__(self, quantization: Quantization, *, seed: int) -> None:
        """Makes the compressor of one network.

        Args:
            quantization: numbers of bits, and of images for calibration.
            seed: not used, because quantization draws nothing.
        """
        self._quantization = quantization
        self._left: dict[str, str] = {}  # weight or input to the reason why it stays in floating point

    def step(self, number: int, model: nn.Module, x: Tensor, y: Tensor) -> None:
        """Adds quantizers, and fits their ranges: of activations to some of these images, of weights to the weights.

        Raises:
            InvalidInput: a layer's weights or input are not finite, so that no range fits.
        """
        require_finite_weights(model)
        samples, order = sampled_inputs(model, x[: self._quantization.calibration_examples])
        layers = weighted_layers(model)
        weights = [(name, weight) for name, layer in layers.items() for weight in weights_of(layer)]
        inputs = [name for name in layers if name in samples]
        self._add_quantizers(model, self._place(model, weights, inputs, order), samples)
        few = self._quantization.weight_bits < FLOAT, self._quantization.activation_bits < FLOAT
        self._left = left_in_floating_point(model, weights=few[0], inputs=few[1])

    def left_as_is(self) -> Mapping[str, str]:
        """Returns the weights and inputs of layers that the step left in floating point, with the reasons."""
        return self._left

    def attach(self, model: nn.Module, state: Mapping[str, Tensor]) -> None:
        """Adds quantizers whose ranges are loaded afterwards."""
        layers = weighted_layers(model)
        quantized = {(found[2], found[3]) for found in map(_WEIGHT_QUANTIZER.fullmatch, state) if found}
        seen = {found[1] for found in map(_INPUT_QUANTIZER.fullmatch, state) if found}
        weights = [(name, weight) for name, layer in layers.items() for weight in weights_of(layer)]
        place = self._place(
            model, [one for one in weights if one in quantized], [name for name in layers if name in seen], ()
        )
        self._add_quantizers(model, _noted(place, state), None)

    def plain(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the floating-point weights under their names before quantization, and nothing of the quantizers."""
        last: dict[str, int] = {}  # weight to the number of its last parametrization: other methods may have added some
        names: dict[str, str] = {}  # weight's parametrizations to the name of the weight itself
        for found in map(_WEIGHT_QUANTIZER.fullmatch, state):
            if found and self._quantization.weight_bits < FLOAT:
                last[found[1]] = max(int(found[4]), last.get(found[1], 0))
                names[found[1]] = f"{found[2]}.{found[3]}"
        ours = tuple(f"{weight}.{number}." for weight, number in last.items())
        alone = {f"{weight}.original": names[weight] for weight, number in last.items() if not number}
        return {
            alone.get(name, name): value
            for name, value in state.items()
            if not name.startswith(ours) and ".input_quantizer." not in name
        }

    def bits(self, layer: nn.Module) -> tuple[int, int]:
        """Returns the bits of a layer's quantizers for its weights and for its input."""
        weight, inputs = FLOAT, FLOAT
        for name in weights_of(layer):
            if parametrize.is_parametrized(layer, name):
                steps: Any = layer.parametrizations
                weight = min([weight, *(part.bits for part in steps[name] if isinstance(part, WeightQuantizer))])
        if isinstance(quantizer := getattr(layer, "input_quantizer", None), ActivationQuantizer):
            inputs = quantizer.bits
        return weight, inputs

    def deploy(self, model: nn.Module) -> None:
        """Replaces the quantizers by modules that ONNX has operators for: stored weights and rounded inputs."""
        for layer in weighted_layers(model).values():
            bits = self.bits(layer)
            if bits[0] < FLOAT:
                for name in weights_of(layer):
                    store_weight(layer, name)
            if bits[1] < FLOAT:
                rounding: Any = layer.input_quantizer
                scale, zero_point = float(rounding.scale), int(rounding.zero_point)
                layer.input_quantizer = RoundedInput(scale, zero_point, bits=bits[1], fusible=fusible(*bits))

    def _place(
        self, model: nn.Module, weights: Sequence[tuple[str, str]], inputs: Sequence[str], order: Sequence[str]
    ) -> _Placement:
        """Gives each quantizer its bits.

        Args:
            model: the network.
            weights: layer and name of each weight that can be quantized, in the order of definition.
            inputs: layers whose input can be quantized, in the order of definition.
            order: layers in the order in which they run; empty: it is that of definition.
        """
        quantization, layers = self._quantization, weighted_layers(model)
        weights = weights if quantization.weight_bits < FLOAT else []
        inputs = inputs if quantization.activation_bits < FLOAT else []
        there = {name for name, _ in weights} | set(inputs)
        defined = [name for name in layers if name in there and not isinstance(layers[name], nn.Embedding)]
        order = [name for name in order if name in there] or defined
        outer = {*order[:1], *order[-1:]}

        def bits(name: str, inner: int) -> int:
            return max(inner, OUTER_BITS) if name in outer else inner

        few = {one: bits(one[0], quantization.weight_bits) for one in weights}
        for tied in _tied(layers, weights):
            few |= dict.fromkeys(tied, max(few[one] for one in tied))
        return _Placement(
            few,
            {name: bits(name, quantization.activation_bits) for name in inputs},
            note=outer != {*defined[:1], *defined[-1:]},
        )

    def _add_quantizers(self, model: nn.Module, place: _Placement, samples: Mapping[str, Tensor] | None) -> None:
        """Adds quantizers; `samples` holds, by layer, values of its input to fit ranges to, None: nothing is fitted."""
        layers, fit = weighted_layers(model), samples is not None
        shared: dict[int, WeightQuantizer] = {}  # quantizers by the parameter that they round: of tied weights, one
        with frozen(model):  # computing weights anew must not change the state of other parametrizations
            for (name, weight), bits in place.weights.items():
                layer = layers[name]
                parameter = layer._parameters.get(weight)
                quantizer = shared.get(id(parameter)) if parameter is not None else None
                if quantizer is None:
                    with _naming(name):
                        groups = transposed_groups(layer)
                        quantizer = WeightQuantizer(getattr(layer, weight), bits, groups=groups, fit=fit)
                    _note(quantizer, place.note)
                    if parameter is not None:
                        shared[id(parameter)] = quantizer
                parametrize.register_parametrization(layer, weight, quantizer)
            for name, bits in place.inputs.items():
                sample = torch.zeros(1) if samples is None else samples[name]
                with _naming(name):
                    rounding = ActivationQuantizer(sample, bits)
                _note(rounding, place.note)
                layers[name].add_module("input_quantizer", rounding)
                layers[name].register_forward_pre_hook(_quantize_inputs, with_kwargs=True)
        for name, weight in place.weights:  # registering took over the mode of the frozen layer
            parts: Any = layers[name].parametrizations
            parts[weight][-1].train(layers[name].training)
        for name in place.inputs:
            layers[name].get_submodule("input_quantizer").train(layers[name].training)


def _tied(layers: Mapping[str, nn.Module], weights: Sequence[tuple[str, str]]) -> list[list[tuple[str, str]]]:
    """Returns the groups of weights that are one Parameter, as it is where an embedding is also the classifier."""
    users: dict[int, list[tuple[str, str]]] = {}
    for name, weight in weights:
        if (parameter := layers[name]._parameters.get(weight)) is not None:
            users.setdefault(id(parameter), []).append((name, weight))
    return [one for one in users.values() if len(one) > 1]


def _note(quantizer: WeightQuantizer | ActivationQuantizer, note: bool) -> None:
    """Has a quantizer keep its bits in its state_dict."""
    if note:
        quantizer.register_buffer(NOTED_BITS, torch.tensor(quantizer.bits, dtype=torch.int32))


def _noted(place: _Placement, state: Mapping[str, Tensor]) -> _Placement:
    """Returns the placement with the bits that a state_dict notes, where it does."""
    weights, inputs, note = dict(place.weights), dict(place.inputs), False
    for key, value in state.items():
        owner, _, key = key.rpartition(".")
        if key != NOTED_BITS:
            continue
        note = True
        found, name = _WEIGHT_QUANTIZER.fullmatch(f"{owner}.share"), owner.removesuffix(".input_quantizer")
        if found and (found[2], found[3]) in weights:  # else it is a second name of a layer
            weights[found[2], found[3]] = int(value)
        elif name in inputs:
            inputs[name] = int(value)
    return _Placement(weights, inputs, note=note)


def _quantize_inputs(
    layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Rounds the inputs of a layer before it runs; those that are one tensor stay one, as attention asks for."""
    quantizer = layer.input_quantizer
    assert isinstance(quantizer, nn.Module)
    found = {id(value): value for value in inputs_of(layer, given, named)}
    rounded = {key: quantizer(value) for key, value in found.items()}
    return (
        tuple(rounded.get(id(value), value) for value in given),
        {name: rounded.get(id(value), value) for name, value in named.items()},
    )


@contextmanager
def _naming(layer: str) -> Iterator[None]:
    """Puts the name of a layer before what is refused in the context."""
    try:
        yield
    except InvalidInput as error:
        raise InvalidInput(f"quantization: layer {layer}: {error}") from error
