"""What each trial gets of a cluster, and on which nodes, as data."""

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
    """What trials of one role get; what is left out is as for all others, see `Resources`."""

    cpu: PositiveInt = 1
    gpu: Share = 0.0
    accelerator: str | None = None
    market: Literal["spot", "on-demand"] | None = None
    labels: Labels = {}


class Resources(RoleResources):
    """What each trial gets, and on which nodes.

    Attributes:
        cpu: CPUs, and so threads.
        gpu: GPUs, or a share of one; 0: the CPU computes; `auto`: as much as a trial's memory is measured to need.
        accelerator: the type of a node's GPUs as Ray names it, e.g. `H100`; its label `ray.io/accelerator-type`.
        market: of a node, Ray's label `ray.io/market-type`.
        labels: that a node must have besides, by Ray's selectors: `value`, `!value`, `in(a, b)`, `!in(a, b)`.
        device: what to compute on; `auto`: the GPU where there is a share of one. With `cpu`, GPUs only count places.
        roles: what is different for trials of a role, e.g. baselines on demand.
        max_concurrent: trials at once at most; None: as many as the cluster has room for.
        pending: trials beyond that room, for which an autoscaler is to find nodes.
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
        """Where trials of a role go.

        Args:
            role: of the recipe.
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
        """Of every role."""
        return {role: self.of(role, measured) for role in ROLES}

    @property
    def measures(self) -> bool:
        """Whether any share of a GPU is to be measured."""
        return any(self._own(role).gpu == "auto" for role in ROLES)

    def _own(self, role: Role) -> RoleResources:
        common: dict[str, Any] = {name: getattr(self, name) for name in RoleResources.model_fields}
        return RoleResources.model_construct(
            **common | (self.roles[role].model_dump(exclude_unset=True) if role in self.roles else {})
        )
