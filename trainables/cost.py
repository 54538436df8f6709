"""The compute ledger: FLOPs measured on the network as it is, times the examples that took each path."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from trainables.attacks import Attack
from trainables.losses import TrainingLoss
from trainables.models import frozen
from trainables.quantization import bits_of, layers_of


@dataclass(frozen=True)
class StepCost:
    """FLOPs per example of one training step.

    Attributes:
        attack: finding the perturbation.
        update: training on it.
    """

    attack: float
    update: float


@dataclass(frozen=True)
class PassCost:
    """FLOPs per example of the ways through a network; FLOPs = 2 × multiply-accumulates.

    Attributes:
        forward: one forward pass.
        input_gradient: forward and backward to the input, parameters frozen: what an attack's step takes.
        full: forward and backward to the parameters: what an update takes (the first layer has no input gradient).
        full_with_input: forward and backward to both: what a step of free training takes, or an unsound attack's.
    """

    forward: float
    input_gradient: float
    full: float
    full_with_input: float

    def attack_step(self, *, sound: bool) -> float:
        """A step of an attack; one that is not sound computes parameter gradients as well."""
        return self.input_gradient if sound else self.full_with_input

    def step(self, attack: Attack, loss: TrainingLoss) -> StepCost:
        """A step of the ordinary loop: the attack against the loss's target, then the loss."""
        attack_flops = self.attack_step(sound=attack.sound) * attack.passes
        return StepCost(attack_flops + self.forward * loss.target_passes, self.full * loss.full_passes)

    def free_step(self) -> StepCost:
        """A replay of the free loop, whose one pass also moves the perturbation."""
        return StepCost(0.0, self.full_with_input)


def forward_flops(model: nn.Module, example: Tensor) -> float:
    """FLOPs of one forward pass of one image (1, channels, height, width); the model is left as it was."""
    with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    return float(counter.get_total_flops())


def forward_bitops(model: nn.Module, example: Tensor) -> float:
    """MACs × weight bits × input bits of one forward pass of one image, summed over the layers.

    Without it, quantization could not win: it leaves the number of MACs alone. 32 bits where nothing is quantized.
    """
    with frozen(model), torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(example)
    flops = counter.get_flop_counts()
    total = 0.0
    for name, layer in layers_of(model).items():
        weight_bits, input_bits = bits_of(layer)
        total += sum(flops[f"{type(model).__name__}.{name}"].values()) / 2 * weight_bits * input_bits
    return total


def measure(model: nn.Module, example: Tensor) -> PassCost:
    """Count the passes of one image (1, channels, height, width); the model is left as it was.

    Convolutions and matrix products are counted, as `torch.utils.flop_counter` defines them.
    """
    label = torch.zeros(1, dtype=torch.long, device=example.device)
    shift = torch.zeros_like(example, requires_grad=True)
    gradients = [parameter.grad for parameter in model.parameters()]
    forward = forward_flops(model, example)
    with frozen(model):  # eval mode for all of them, so that BatchNorm's statistics stay
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


@dataclass(frozen=True)
class Compute:
    """FLOPs of one recipe's own training, without what the recipes it builds on took.

    Attributes:
        ordinary: ordinary pretraining.
        marginal: everything else.
    """

    ordinary: float
    marginal: float


Lineage = Mapping[str, Compute]  # by recipe id, so that an ancestor in two ways (base and teacher) is there once


@dataclass
class Ledger:
    """FLOPs spent so far, by phase.

    Attributes:
        base: ordinary pretraining, this recipe's own or its ancestors'.
        ancestors: marginal compute of what this recipe builds on: an adversarially trained base or teacher.
        compression: shrinking the network.
        distillation: the teacher's forward pass over the training images, charged to each recipe that learns from it.
        attack: finding perturbations to train on.
        update: gradient steps on the weights.
        validation: measuring accuracy; the study's choice and not the recipe's, so in no total.
    """

    base: float = 0.0
    ancestors: float = 0.0
    compression: float = 0.0
    distillation: float = 0.0
    attack: float = 0.0
    update: float = 0.0
    validation: float = 0.0

    @property
    def marginal(self) -> float:
        """All training compute but ordinary pretraining."""
        return self.ancestors + self._own_marginal

    @property
    def end_to_end(self) -> float:
        """All training compute, ordinary pretraining included."""
        return self.base + self.marginal

    def add(self, phase: str, flops_per_example: float, examples: int = 1) -> None:
        """Charge `examples` passes to a phase."""
        setattr(self, phase, getattr(self, phase) + flops_per_example * examples)

    def charge(self, step: StepCost, examples: int, *, update_phase: str) -> None:
        """Charge a training step on so many examples; its update to `update`, or `base` in ordinary pretraining."""
        self.add("attack", step.attack, examples)
        self.add(update_phase, step.update, examples)

    def inherit(self, lineage: Lineage) -> None:
        """Charge what base and teacher cost: ordinary pretraining apart from everything else."""
        self.base += sum(compute.ordinary for compute in lineage.values())
        self.ancestors += sum(compute.marginal for compute in lineage.values())

    def own(self, lineage: Lineage) -> Compute:
        """What is left of this ledger without what it inherited of a lineage."""
        return Compute(self.base - sum(compute.ordinary for compute in lineage.values()), self._own_marginal)

    @property
    def _own_marginal(self) -> float:
        return self.compression + self.distillation + self.attack + self.update

    def as_dict(self) -> dict[str, float]:
        """Phase to FLOPs, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, phases: Mapping[str, float]) -> "Ledger":
        """The inverse of `as_dict`. Raises KeyError for a missing phase."""
        return cls(**{field.name: float(phases[field.name]) for field in fields(cls)})
