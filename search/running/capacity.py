"""A study's resources on the cluster that is there: which share of a GPU, and whether there is room."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from cluster.placement.capacity import Room
from cluster.placement.gpu_sharing import measured_share
from cluster.placement.placement import Placement, factory
from search.recipes.fixed import FixedRecipes
from search.study.resources import Role
from search.study.study import Study
from trainables.data.splits import Splits
from trainables.estimation.memory_footprint import memory_footprint
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class Capacity:
    """Where each role's trials go, and the room that there is for them."""

    placements: Mapping[Role, Placement]
    room: Room

    @property
    def slots(self) -> int:
        """Proposals at once, with nothing else running."""
        return max(1, self.room.slots(self.placements["proposed"]))  # none yet, where an autoscaler is to start nodes

    def has_place(self, running: Mapping[Role, int], role: Role) -> bool:
        """Whether one more trial of a role has a place, beside so many of each role."""
        taken: Counter[Placement] = Counter()
        for other, count in running.items():
            taken[self.placements[other]] += count
        return self.room.has_place(taken, self.placements[role])

    def request(self, config: Mapping[str, Any]) -> Any:
        """What Tune asks Ray for, for the trial of a recipe."""
        role: Role = config["role"]
        return factory(self.placements[role])


def capacity_of(study: Study, fixed: FixedRecipes, splits: Splits, show: Callable[[str], None]) -> Capacity:
    """Look at the cluster, and measure a share of a GPU where the study leaves it open.

    Args:
        study: whose resources.
        fixed: its fixed recipes.
        splits: of its data, for the measurement.
        show: prints a line.

    Raises:
        InvalidInput: trials of some role fit nowhere.
    """
    resources = study.resources
    share = 1.0
    if resources.measures:
        whole = resources.of("proposed")
        recipe = heaviest(study, fixed)
        share, why = measured_share(whole, memory_footprint, recipe, study.protocol, splits, torch.device("cuda"))
        show(f"gpu: auto: {why}")
    placements = resources.placements(share)
    room = Room(at_most=resources.max_concurrent, pending=resources.pending)
    for role, placement in placements.items():
        room.check(placement, f"resources.roles.{role}" if role in resources.roles else "resources")
    return Capacity(placements, room)


def heaviest(study: Study, fixed: FixedRecipes) -> Recipe:
    """A recipe that takes as much memory as any of the study: the dense network in the largest batch.

    It trains as the reference does, for an epoch and from scratch: weights that are loaded take no more.
    """
    batches = [study.pretraining.batch_size] if study.pretraining else []
    batches += [one.schedule.batch_size for one in study.baselines]
    if study.space is not None:
        batches += study.space.schedule.batch_size
    reference = fixed.reference.recipe
    schedule = reference.schedule.model_copy(update={"epochs": 1, "batch_size": max(batches)})
    return fixed.base.recipe.model_copy(
        update={"perturbation": reference.perturbation, "loss": reference.loss, "schedule": schedule, "base": None}
    )
