"""Tells where a study's trials run on a given cluster: the share of a GPU that each gets, and how many fit."""

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
    """Where the trials of each role go, and how much room the cluster has for them.

    Attributes:
        placements: what a trial of each role gets, and on which nodes.
        room: the cluster's room for trials.
    """

    placements: Mapping[Role, Placement]
    room: Room

    @property
    def slots(self) -> int:
        """Number of proposals that can run at once if nothing else runs; at least 1."""
        return max(1, self.room.slots(self.placements["proposed"]))  # no room yet, if an autoscaler is to start nodes

    def has_place(self, running: Mapping[Role, int], role: Role) -> bool:
        """Return whether the cluster has room for one more trial.

        Args:
            running: number of trials of each role that run or wait already.
            role: role of the one more trial.
        """
        taken: Counter[Placement] = Counter()
        for other, count in running.items():
            taken[self.placements[other]] += count
        return self.room.has_place(taken, self.placements[role])

    def request(self, config: Mapping[str, Any]) -> Any:
        """Return the resources that Tune asks Ray for, for the trial with this configuration."""
        role: Role = config["role"]
        return factory(self.placements[role])


def capacity_of(study: Study, fixed: FixedRecipes, splits: Splits, show: Callable[[str], None]) -> Capacity:
    """Look at the cluster, and measure which share of a GPU a trial needs if the study says `gpu: auto`.

    Args:
        study: the study, which says what each role gets.
        fixed: its fixed recipes.
        splits: its data, on which the measured recipe trains.
        show: prints a line.

    Raises:
        InvalidInput: trials of some role fit on no node.
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
    """Return a recipe that takes as much memory as any of the study: the dense network with the largest batch.

    It trains as the reference does, but for one epoch and from scratch, since loaded weights take no more memory.
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
