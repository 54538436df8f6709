"""Describes which resources each trial gets of a cluster, and on which nodes it may run."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, model_validator

from cluster.placement.placement import ACCELERATOR, MARKET, Placement, malformed
from trainables.config import Frozen, PositiveInt

Role = Literal["base", "baseline", "grid", "proposed", "confirm"]
ROLES: tuple[Role, ...] = get_args(Role)


def _well_formed(labels: dict[str, str]) -> dict[str, str]:
    if problem := malformed(labels):
        raise ValueError(problem)
    return labels


Labels = Annotated[dict[str, str], AfterValidator(_well_formed)]


def _share(gpu: float | str) -> float | str:
    if gpu != "auto" and (isinstance(gpu, str) or gpu < 0 or (gpu > 1 and gpu % 1)):
        raise ValueError(f"got {gpu!r}, expected a share of a GPU, 0 to 1, or a whole number of them, or auto")
    return gpu


Share = Annotated[float | str, AfterValidator(_share)]


class RoleResources(Frozen):
    """Resources of the trials of one role; a field that is left out is as for all other roles.

    Attributes:
        cpu: number of CPUs, and so of threads.
        gpu: number of GPUs, or a share of one; 0: the CPU computes; `auto`: the share that a trial's memory is measured
            to need.
        accelerator: type of a node's GPUs as Ray names it, e.g. `H100`; the node's label `ray.io/accelerator-type`.
        market: market of a node; its label `ray.io/market-type`.
        labels: further labels that a node must have, by Ray's selectors: `value`, `!value`, `in(a, b)`, `!in(a, b)`.
    """

    cpu: PositiveInt = 1
    gpu: Share = 0.0
    accelerator: str | None = None
    market: Literal["spot", "on-demand"] | None = None
    labels: Labels = {}


class Resources(RoleResources):
    """Resources of each trial, and the nodes on which it may run.

    Attributes:
        device: device to compute on; `auto`: the GPU if the trial has a share of one. With `cpu`, a share of a GPU only
            limits how many trials run at once.
        roles: resources that differ for the trials of a role, e.g. baselines on on-demand nodes.
        max_concurrent: largest number of trials at once; None: as many as the cluster has room for.
        pending: number of trials beyond that room that may wait for nodes which an autoscaler is to start.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    roles: dict[Role, RoleResources] = {}
    max_concurrent: PositiveInt | None = None
    pending: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _has_what_it_computes_on(self) -> Self:
        without = [role for role in ROLES if not self._own(role).gpu]
        if self.device == "cuda" and without:
            raise ValueError(f"device: got cuda with gpu 0 for {', '.join(without)}, expected a share of a GPU")
        return self

    def of(self, role: Role, measured: float = 1.0) -> Placement:
        """Return what a trial of a role gets, and on which nodes it may run.

        Args:
            role: role of the trial's recipe.
            measured: the share of a GPU that `auto` stands for.
        """
        own = self._own(role)
        gpu = measured if own.gpu == "auto" else float(own.gpu)
        named = {ACCELERATOR: own.accelerator, MARKET: own.market}
        labels = {key: value for key, value in named.items() if value is not None} | own.labels
        computes = "cuda" if gpu else "cpu"
        return Placement(
            cpu=own.cpu,
            gpu=gpu,
            labels=tuple(sorted(labels.items())),
            device=computes if self.device == "auto" else self.device,
        )

    def placements(self, measured: float = 1.0) -> Mapping[Role, Placement]:
        """Return what a trial gets, and where it may run, for every role; `measured` as for `of`."""
        return {role: self.of(role, measured) for role in ROLES}

    @property
    def measures(self) -> bool:
        """Whether the share of a GPU must be measured for any role."""
        return any(self._own(role).gpu == "auto" for role in ROLES)

    def _own(self, role: Role) -> RoleResources:
        common: dict[str, Any] = {name: getattr(self, name) for name in RoleResources.model_fields}
        return RoleResources.model_construct(
            **common | (self.roles[role].model_dump(exclude_unset=True) if role in self.roles else {})
        )
