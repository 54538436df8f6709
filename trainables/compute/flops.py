"""Counts the FLOPs of the passes through a network, on the shapes of the network as it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

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

    Attributes:
        forward: a forward pass.
        input_gradient: forward and backward to the input with frozen parameters, as a step of an attack needs.
        full: forward and backward to the parameters, as an update needs (the first layer has no input gradient).
        full_with_input: forward and backward to both, as a step of free training or of an unsound attack needs.
    """

    forward: float
    input_gradient: float
    full: float
    full_with_input: float

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


class UncountedOperator(InvalidInput):
    """Raised for a network that runs an operator whose FLOPs are unknown, so that no number of it would be true."""


def forward_flops(model: nn.Module, example: Tensor) -> float:
    """Counts the FLOPs of one image's forward pass in eval mode, as `measure` does, but takes any operator."""
    return on_shapes(model, example, lambda network, x: _forward(network.eval(), x).flops / len(x))


def forward_by_layer(model: nn.Module, example: Tensor, layers: Sequence[str]) -> dict[str, dict[str, float]]:
    """Counts the FLOPs of one image's forward pass in eval mode by layer and operator.

    Args:
        model: the network.
        example: images (n, channels, height, width) on the network's device.
        layers: names of layers; what runs in a layer inside another one counts for the inner one.

    Returns:
        FLOPs by the name of the layer, then by operator such as `aten::convolution`; under the empty name those outside
        all of these layers.
    """

    def count(network: nn.Module, x: Tensor) -> dict[str, dict[str, float]]:
        return _forward(network.eval(), x, {name: network.get_submodule(name) for name in layers}).by_layer

    by_layer = on_shapes(model, example, count)
    return {name: {one: flops / len(example) for one, flops in own.items()} for name, own in by_layer.items()}


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
    several = x if len(x) > 1 else x.repeat(2, *[1] * (x.dim() - 1))  # BatchNorm may need two images in training mode
    forward, training = _forward(model.eval(), x), _forward(model.train(), several)
    runs_more = training.flops / len(several) > forward.flops / len(x)
    model.eval().requires_grad_(False)
    attack = _backward(model, x.detach().requires_grad_())
    for parameter, requires_grad in wanted:
        parameter.requires_grad_(requires_grad)
    seen = several if runs_more else x
    model.train(runs_more)
    update = _backward(model, seen.detach())
    both = _backward(model, seen.detach().requires_grad_())
    cost = PassCost(forward.flops / len(x), attack.flops / len(x), update.flops / len(seen), both.flops / len(seen))
    return cost, {operator for counter in (forward, training, attack, update, both) for operator in counter.uncounted}


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
