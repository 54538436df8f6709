"""The compute ledger: FLOPs and seconds of a recipe, kept apart by phase and added up over its ancestors."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from trainables.compute.flops import StepCost


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
