"""How many trials a cluster holds at once."""

from collections.abc import Mapping, Sequence
from typing import Any

from trainables.errors import InvalidInput


def slots(nodes: Sequence[Mapping[str, float]], *, cpu: float, gpu: float, at_most: int | None = None) -> int:
    """Trials that fit on the nodes at once; a trial never spans two nodes.

    Args:
        nodes: resources of each node, as Ray names them (`CPU`, `GPU`).
        cpu: CPUs a trial.
        gpu: GPUs a trial; a share below 1 never spans two cards.
        at_most: the study's own limit.

    Raises:
        InvalidInput: not one trial fits anywhere.
    """
    total = sum(on_node(node, cpu, gpu) for node in nodes)
    if total == 0:
        wanted = f"{cpu:g} CPU" + (f" and {gpu:g} GPU" if gpu else "")
        have = "; ".join(f"{node.get('CPU', 0):g} CPU, {node.get('GPU', 0):g} GPU" for node in nodes)
        raise InvalidInput(f"resources: got {wanted} a trial, expected what a node has ({have})")
    return total if at_most is None else min(total, at_most)


def nodes() -> list[dict[str, Any]]:
    """Resources of each node of the Ray cluster that this process has joined."""
    import ray

    return [dict(node["Resources"]) for node in ray.nodes() if node["Alive"]]


def on_node(node: Mapping[str, float], cpu: float, gpu: float) -> int:
    """Trials that fit on one node, given its resources; as `slots` counts them."""
    by_cpu = int(node.get("CPU", 0) / cpu + 1e-9)
    if gpu == 0:
        return by_cpu
    cards = node.get("GPU", 0)
    by_gpu = int(cards) * int(1 / gpu + 1e-9) if gpu < 1 else int(cards / gpu + 1e-9)
    return min(by_cpu, by_gpu)
