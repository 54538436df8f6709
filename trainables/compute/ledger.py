"""Keeps the compute ledger of a recipe: its FLOPs by phase, with those of its bases and teachers."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from trainables.compute.flops import StepCost


@dataclass(frozen=True)
class Compute:
    """FLOPs of one recipe's own training, without those of its bases and teachers.

    Attributes:
        ordinary: FLOPs of ordinary pretraining.
        marginal: FLOPs of everything else.
    """

    ordinary: float
    marginal: float


Lineage = Mapping[str, Compute]  # by recipe id, so that a recipe that is both base and teacher is counted once


@dataclass
class Ledger:
    """FLOPs that a recipe has spent so far, by phase.

    Attributes:
        base: ordinary pretraining, of this recipe or of its bases and teachers.
        ancestors: marginal compute of its bases and teachers, e.g. of an adversarially trained base.
        compression: making the network smaller.
        distillation: the teacher's forward pass over the training images, charged to each recipe that learns from it.
        attack: finding perturbations to train on.
        update: gradient steps on the weights.
        validation: measuring accuracy; it is in no total, because the study decides on it and not the recipe.
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
        """All training compute but ordinary pretraining, in FLOPs."""
        return self.ancestors + self._own_marginal

    @property
    def end_to_end(self) -> float:
        """All training compute, ordinary pretraining included, in FLOPs."""
        return self.base + self.marginal

    def add(self, phase: str, flops_per_example: float, examples: int = 1) -> None:
        """Adds the FLOPs of passes of so many examples to a phase."""
        setattr(self, phase, getattr(self, phase) + flops_per_example * examples)

    def charge(self, step: StepCost, examples: int, *, update_phase: str) -> None:
        """Adds the FLOPs of a training step on so many examples.

        Args:
            step: FLOPs per example.
            examples: number of examples.
            update_phase: phase of the update: `update`, or `base` in ordinary pretraining.
        """
        self.add("attack", step.attack, examples)
        self.add(update_phase, step.update, examples)

    def inherit(self, lineage: Lineage) -> None:
        """Adds the compute of bases and teachers: ordinary pretraining to `base`, everything else to `ancestors`."""
        self.base += sum(compute.ordinary for compute in lineage.values())
        self.ancestors += sum(compute.marginal for compute in lineage.values())

    def own(self, lineage: Lineage) -> Compute:
        """Returns the recipe's own compute: this ledger without what it inherited from a lineage."""
        return Compute(self.base - sum(compute.ordinary for compute in lineage.values()), self._own_marginal)

    @property
    def _own_marginal(self) -> float:
        return self.compression + self.distillation + self.attack + self.update

    def as_dict(self) -> dict[str, float]:
        """Returns the FLOPs by phase as plain data, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, phases: Mapping[str, float]) -> "Ledger":
        """Makes a ledger from what `as_dict` returned. Raises KeyError for a missing phase."""
        return cls(**{field.name: float(phases[field.name]) for field in fields(cls)})
