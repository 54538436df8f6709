"""Decides how many trials share a card, from the memory that one trial was measured to take."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cluster.placement.capacity import nodes
from cluster.placement.placement import ACCELERATOR, Placement, factory, matches

HEADROOM = 0.2  # left free, as a share of what one trial was measured to take
SECONDS = 300.0  # the longest wait for a free card and the measurement on it
WHOLE = 1.0


def share_of(peak: float, total: float) -> float:
    """Returns the share of a card that a trial gets: 1 / n where the card's memory holds n trials.

    Args:
        peak: bytes that one trial takes.
        total: bytes of the card.
    """
    return 1 / max(1, int(total / (peak * (1 + HEADROOM))))


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
    share = share_of(found.peak, found.total)
    takes = f"a trial takes {found.peak / 1e9:.2f} of {found.total / 1e9:.1f} GB on {found.device}"
    return share, f"{round(1 / share)} trials a card: {takes}, with {HEADROOM:.0%} to spare"
