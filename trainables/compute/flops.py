"""Counts the FLOPs of the passes through a network, on the shapes of the network as it is."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from trainables.attacks.attack import Attack
from trainables.compute.counter import FlopCounter
from trainables.compute.shapes import on_shapes
from trainables.errors import InvalidInput
from trainables.losses.losses import TrainingLoss


@dataclass(frozen=True)
class StepCost:
    """FLOPs per example of one training step.

    Attributes:
        attack: FLOPs of finding the perturbation.
        update: FLOPs of training on the perturbed image.
    """

    attack: float
    update: float


@dataclass(frozen=True)
class PassCost:
    """FLOPs per example of each kind of pass through a network; FLOPs = 2 × multiply-accumulates.

    What a pass computes once for all of its images, such as a weight out of its factors, is kept apart from them.

    Attributes:
        forward: a forward pass.
        input_gradient: forward and backward to the input with frozen parameters, as a step of an attack needs.
        full: forward and backward to the parameters, as an update needs (the first layer has no input gradient).
        full_with_input: forward and backward to both, as a step of free training or of an unsound attack needs.
        once: FLOPs of each kind of pass that do not depend on the number of images; None: there are none.
    """

    forward: float
    input_gradient: float
    full: float
    full_with_input: float
    once: "PassCost | None" = None

    def in_batches_of(self, images: float) -> "PassCost":
        """Returns the FLOPs per example where so many images share what each pass computes once."""
        if self.once is None:
            return self
        shares = (getattr(self, kind) + getattr(self.once, kind) / images for kind in _KINDS)
        return PassCost(*shares)

    def attack_step(self, *, sound: bool) -> float:
        """Returns the FLOPs of one step of an attack; one that is not sound computes parameter gradients as well."""
        return self.input_gradient if sound else self.full_with_input

    def step(self, attack: Attack, loss: TrainingLoss) -> StepCost:
        """Returns the FLOPs of a step of the ordinary loop: the loss's target and the attack on it, then the update."""
        attack_flops = self.attack_step(sound=attack.sound) * attack.passes
        return StepCost(attack_flops + self.forward * loss.target_passes, self.full * loss.full_passes)

    def free_step(self) -> StepCost:
        """Returns the FLOPs of a replay of the free loop, in which one pass updates weights and perturbation."""
        return StepCost(0.0, self.full_with_input)


_KINDS = ("forward", "input_gradient", "full", "full_with_input")
_LEAST = 1e-9  # smallest share of a count that may be FLOPs of its own, since a count of fractions is rounded


class UncountedOperator(InvalidInput):
    """Raised for a network that runs an operator whose FLOPs are unknown, so that no number of it would be true."""


def forward_flops(model: nn.Module, example: Tensor, batch: float = math.inf) -> float:
    """Counts the FLOPs of one image's forward pass in eval mode, as `measure` does, but takes any operator.

    Args:
        model: the network.
        example: images (n, channels, height, width) on the network's device.
        batch: images that share what a pass computes once; it is left out if not given, since a deployed network has
            computed it.
    """

    def count(network: nn.Module, x: Tensor) -> float:
        single = _forward(network.eval(), x).flops
        if batch == len(x):
            return single / batch
        with _disable_current_modes():  # what was counted is not counted once more by a counter around this
            double = _forward(network, _twice(x)).flops
        each, once = _split(single, double, len(x))
        return each + once / batch

    return on_shapes(model, example, count)


def forward_by_layer(model: nn.Module, example: Tensor, layers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Counts the FLOPs of one image's forward pass in eval mode by layer and operator, but not what a pass does once.

    Args:
        model: the network.
        example: images (n, channels, height, width) on the network's device.
        layers: names of layers; what runs in a layer inside another one counts for the inner one.

    Returns:
        FLOPs by the name of the layer, then by operator such as `aten::convolution`; under the empty name those outside
        all of these layers.
    """

    def count(network: nn.Module, x: Tensor) -> dict[str, dict[str, float]]:
        named = {name: network.get_submodule(name) for name in layers}
        single = _forward(network.eval(), x, named).by_layer
        with _disable_current_modes():
            double = _forward(network, _twice(x), named).by_layer
        return {
            layer: {one: _split(flops, double[layer].get(one, 0.0), len(x))[0] for one, flops in own.items()}
            for layer, own in single.items()
        }

    return on_shapes(model, example, count)


def uncounted_shares(model: nn.Module, example: Tensor) -> dict[str, float]:
    """Returns the operators whose FLOPs are unknown, with their share of all numbers that a forward pass computes."""
    counter = on_shapes(model, example, lambda network, x: _forward(network.eval(), x))
    return {operator: numbers / counter.numbers for operator, numbers in counter.uncounted.items()}


def measure(model: nn.Module, example: Tensor, uncounted: Sequence[str] = ()) -> PassCost:
    """Counts the FLOPs of each kind of pass of one image; the model is left as it was.

    Convolutions and matrix products are counted, as `trainables.compute.operators` says; what
    `trainables.compute.uncounted` lists is left out. Passes are counted in eval mode. Where a network runs more in
    training mode, auxiliary heads for example, the passes of an update are counted in that mode.

    Args:
        model: the network; parameters that need no gradient are not charged for one.
        example: images (n, channels, height, width) on the network's device; the FLOPs are divided by n.
        uncounted: operators without a rule that may run, such as `mylib::attention`; they count as nothing.

    Raises:
        UncountedOperator: the network runs another operator whose FLOPs are unknown.
    """
    cost, unknown = on_shapes(model, example, _passes)
    if found := sorted(unknown - set(uncounted)):
        raise UncountedOperator(
            f"model: runs {', '.join(found)}, whose FLOPs are unknown, expected operators that Temper has a rule for: "
            f"write it as convolutions and matrix products, or leave it out of all counts on purpose: "
            f"model.uncounted_operators: [{', '.join(found)}]"
        )
    return cost


def _passes(model: nn.Module, x: Tensor) -> tuple[PassCost, set[str]]:
    """Returns the FLOPs of each kind of pass, and the operators without a rule."""
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    counters: list[FlopCounter] = []

    def split(run: Callable[[Tensor], FlopCounter], images: Tensor, *, shared: bool = True) -> tuple[float, float]:
        counters.append(run(images))
        if not shared:
            return counters[-1].flops / len(images), 0.0
        counters.append(run(_twice(images)))
        return _split(counters[-2].flops, counters[-1].flops, len(images))

    forward = split(lambda images: _forward(model.eval(), images), x)
    counters.append(_forward(model.train(), _twice(x)))  # BatchNorm may need two images in training mode
    runs_more = counters[-1].flops > counters[-2].flops
    shared = forward[1] > 0 or runs_more
    model.eval().requires_grad_(False)
    attack = split(lambda images: _backward(model, images.detach().requires_grad_()), x, shared=shared)
    for parameter, requires_grad in wanted:
        parameter.requires_grad_(requires_grad)
    model.train(runs_more)
    seen = _twice(x) if runs_more else x
    update = split(lambda images: _backward(model, images.detach()), seen, shared=shared)
    both = split(lambda images: _backward(model, images.detach().requires_grad_()), seen, shared=shared)
    each, once = zip(forward, attack, update, both, strict=True)
    cost = PassCost(*each, once=PassCost(*once) if any(once) else None)
    return cost, {operator for counter in counters for operator in counter.uncounted}


def _twice(x: Tensor) -> Tensor:
    return torch.cat([x, x])


def _split(single: float, double: float, images: int) -> tuple[float, float]:
    """Returns the FLOPs of each image and those that a pass has once, by counts of so many images and of twice as many.

    A pass whose images are compared with each other has more than twice the FLOPs for twice the images; they are then
    counted as those of each.
    """
    once = 2 * single - double
    return ((single - once) / images, once) if _LEAST * single < once <= single else (single / images, 0.0)


def _forward(model: nn.Module, x: Tensor, layers: Mapping[str, nn.Module] | None = None) -> FlopCounter:
    with torch.no_grad(), FlopCounter() as counter, counter.within(layers or {}):
        model(x)
    return counter


def _backward(model: nn.Module, x: Tensor) -> FlopCounter:
    """Counts a forward pass, and a backward pass to all that needs a gradient."""
    with FlopCounter() as counter:
        scores = model(x)
        if scores.requires_grad:  # not if all parameters are frozen
            torch.autograd.backward(scores.sum())
    return counter
