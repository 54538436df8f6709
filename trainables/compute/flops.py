"""Counts the FLOPs of the passes through a network, measured on the network as it is."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from trainables.attacks.attack import Attack
from trainables.losses.losses import TrainingLoss
from trainables.models.build import frozen


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


def forward_flops(model: nn.Module, example: Tensor) -> float:
    """Counts the FLOPs of one forward pass of one image (1, channels, height, width); the model is left as it was."""
    with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    return float(counter.get_total_flops())


def measure(model: nn.Module, example: Tensor) -> PassCost:
    """Counts the FLOPs of each kind of pass of one image (1, channels, height, width); the model is left as it was.

    Convolutions and matrix products are counted, as `torch.utils.flop_counter` defines them.
    """
    label = torch.zeros(1, dtype=torch.long, device=example.device)
    shift = torch.zeros_like(example, requires_grad=True)
    gradients = [parameter.grad for parameter in model.parameters()]
    forward = forward_flops(model, example)
    with frozen(model):  # eval mode for all passes, so that BatchNorm's statistics do not change
        with FlopCounterMode(display=False) as attack:
            torch.autograd.backward(cross_entropy(model(example + shift), label))
        model.requires_grad_(True)
        with FlopCounterMode(display=False) as update:
            torch.autograd.backward(cross_entropy(model(example), label))
        with FlopCounterMode(display=False) as both:
            torch.autograd.backward(cross_entropy(model(example + shift), label))
    for parameter, gradient in zip(model.parameters(), gradients, strict=True):
        parameter.grad = gradient
    return PassCost(forward, *(float(counter.get_total_flops()) for counter in (attack, update, both)))
