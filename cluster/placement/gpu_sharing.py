"""Decides how many trials share a card, from the memory that one trial was measured to take and the node's CPUs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from cluster.placement.capacity import nodes
from cluster.placement.placement import ACCELERATOR, Node, Placement, factory, matches
from trainables.value_forms import counted

HEADROOM = 0.2  # left free, as a share of what one trial was measured to take
SECONDS = 300.0  # the longest wait for a free card and the measurement on it
WHOLE = 1.0


def trials_that_fit(peak: float, total: float) -> int:
    """Returns how many trials a card's memory holds, at least 1.

    Args:
        peak: bytes that one trial takes.
        total: bytes of the card.
    """
    return max(1, int(total / (peak * (1 + HEADROOM))))


def trials_with_cores(alike: Sequence[Node], placement: Placement) -> int:
    """Returns how many trials for each of its cards a node has CPUs for, at least 1; of several nodes, the most.

    More would only give each less of the card's memory, and of its energy, than there is for them.
    """
    cards = [(node.resources["GPU"], node.resources.get("CPU", 0.0)) for node in alike]
    return max(1, *(int(cpus / max(placement.cpu, 1) / gpus) for gpus, cpus in cards))


def measured_share(placement: Placement, measure: Callable[..., Any], *arguments: Any) -> tuple[float, str]:
    """Measures a trial's memory on a card of the cluster, in a process of its own that has the card to itself.

    Args:
        placement: what one trial takes.
        measure: runs in that process; its result has `peak` (bytes), `total` (bytes) and `device`.
        arguments: the arguments of `measure`.

    Returns:
        The share of a card for a trial, and a sentence that says why; a whole card where nothing could be measured.
    """
    import ray

    alike = [node for node in nodes() if node.resources.get("GPU") and matches(node.labels, placement.labels)]
    kinds = sorted({node.labels.get(ACCELERATOR, "unknown") for node in alike})
    if not alike:
        return WHOLE, "a whole GPU a trial: no node has one"
    if len(kinds) > 1:
        return WHOLE, f"a whole GPU a trial: cards differ ({', '.join(kinds)}); name one as resources.accelerator"
    if placement.device == "cpu":
        return WHOLE, "a whole GPU a trial: resources.device is cpu, so that no memory of a card is taken"
    group = factory(replace(placement, gpu=WHOLE)).to_placement_group()
    strategy = ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(group)
    task = ray.remote(num_cpus=placement.cpu, num_gpus=WHOLE, max_calls=1, scheduling_strategy=strategy)(measure)
    try:
        found = ray.get(task.remote(*arguments), timeout=SECONDS)
    except (ray.exceptions.RayError, TimeoutError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return WHOLE, f"a whole GPU a trial: the measurement failed ({lines[-1] if lines else type(error).__name__})"
    finally:
        ray.util.remove_placement_group(group)
    fit, cores = trials_that_fit(found.peak, found.total), trials_with_cores(alike, placement)
    takes = f"a trial takes {found.peak / 1e9:.2f} of {found.total / 1e9:.1f} GB on {found.device}"
    limit = f", {fit} would fit, the node's CPUs are for {cores}" if cores < fit else f", with {HEADROOM:.0%} to spare"
    return 1 / min(fit, cores), f"{counted(min(fit, cores), 'trial')} a card: {takes}{limit}"
