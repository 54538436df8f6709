"""Describes where a trial may run, by the resources that it takes and the labels of the nodes that may give them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ACCELERATOR = "ray.io/accelerator-type"
MARKET = "ray.io/market-type"
_VALUE = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = re.compile(rf"(?:[A-Za-z0-9.-]{{1,253}}/)?{_VALUE}")
_SELECTOR = re.compile(rf"(!?)(?:in\(({_VALUE}(?:, ?{_VALUE})*)\)|({_VALUE}))")
_ROUNDING = 1e-9  # of shares of a card, in trials


@dataclass(frozen=True)
class Placement:
    """The resources that one trial takes, and the nodes that it may run on.

    Attributes:
        cpu: number of CPUs.
        gpu: number of GPUs; a number below 1 is a share of one card.
        labels: pairs of a label's key and the selector that the node's label must satisfy; see `matches`.
        device: the device that it computes on, `cpu` or `cuda`.
    """

    cpu: int
    gpu: float = 0.0
    labels: tuple[tuple[str, str], ...] = ()
    device: str = "cpu"

    def __str__(self) -> str:
        gpu = f" and {self.gpu:.4g} GPU" if self.gpu else ""
        where = " where " + ", ".join(f"{key}={value}" for key, value in self.labels) if self.labels else ""
        return f"{self.cpu} CPU{gpu}{where}"


@dataclass(frozen=True)
class Node:
    """One node of a cluster.

    Attributes:
        resources: how much it has of each resource, by Ray's names `CPU` and `GPU`.
        labels: the labels that Ray gives it, and those that it was started with.
        id: Ray's id of the node.
    """

    resources: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)
    id: str = ""

    def __str__(self) -> str:
        return f"{self.resources.get('CPU', 0):g} CPU, {self.resources.get('GPU', 0):g} GPU"


def malformed(selectors: Mapping[str, str]) -> str | None:
    """Returns what is wrong with the label selectors of a study, as `got X, expected Y`; None if nothing is."""
    for key, value in selectors.items():
        if not _KEY.fullmatch(key):
            return f"got key {key!r}, expected a label's key"
        if not _SELECTOR.fullmatch(value):
            return f"got {value!r} for {key}, expected value, !value, in(a, b) or !in(a, b)"
    return None


def matches(labels: Mapping[str, str], selectors: Sequence[tuple[str, str]]) -> bool:
    """Returns whether a node's labels satisfy every selector, read as Ray's scheduler reads them.

    A label that the node lacks satisfies only the negated selectors, `!value` and `!in(a, b)`.
    """
    for key, selector in selectors:
        found = _SELECTOR.fullmatch(selector)
        assert found is not None
        negated, several, one = found.groups()
        wanted = re.split(r", ?", several) if several else [one]
        if (labels.get(key) in wanted) == bool(negated):
            return False
    return True


def slots(nodes: Sequence[Node], placement: Placement) -> int:
    """Counts the trials that empty nodes hold at once; a trial never spans two nodes."""
    return sum(_Free(node).take(placement) for node in nodes)


def overflow(nodes: Sequence[Node], wanted: Mapping[Placement, int]) -> int:
    """Counts the trials that find no room; those that the fewest nodes can hold, then of the most GPUs, go first.

    Args:
        nodes: the nodes of the cluster, counted as empty.
        wanted: how many trials of each placement there are.
    """

    def order(placement: Placement) -> tuple[float, ...]:
        return sum(_Free(node).take(placement, 1) for node in nodes), -placement.gpu, -placement.cpu

    free = [_Free(node) for node in sorted(nodes, key=lambda node: node.resources.get("GPU", 0))]
    left_out = 0
    for placement in sorted(wanted, key=order):
        left = wanted[placement]
        for node in free:
            left -= node.take(placement, left)
        left_out += left
    return left_out


def factory(placement: Placement) -> Any:
    """Returns a placement as Ray Tune asks for it: one bundle, and the labels of the node that may hold it."""
    from ray import tune

    bundle: dict[str, float] = {"CPU": placement.cpu}
    if placement.gpu:
        bundle["GPU"] = placement.gpu
    selector = {"bundle_label_selector": [dict(placement.labels)]} if placement.labels else {}
    return tune.PlacementGroupFactory([bundle], **selector)


class _Free:
    """The CPUs and cards of one node that no trial has taken yet."""

    def __init__(self, node: Node) -> None:
        self._labels = node.labels
        self._cpu = node.resources.get("CPU", 0.0)
        self._cards = [1.0] * int(node.resources.get("GPU", 0.0))

    def take(self, placement: Placement, at_most: int | None = None) -> int:
        """Places as many trials as fit, `at_most` where that is given, and returns how many were placed."""
        if not matches(self._labels, placement.labels):
            return 0
        count = int(self._cpu / placement.cpu)
        count = count if at_most is None else min(count, at_most)
        if placement.gpu:
            count = self._take_cards(placement.gpu, count)
        self._cpu -= count * placement.cpu
        return count

    def _take_cards(self, gpu: float, wanted: int) -> int:
        if gpu >= 1:
            whole = [index for index, free in enumerate(self._cards) if free == 1]
            count = min(wanted, len(whole) // int(gpu))
            for index in whole[: count * int(gpu)]:
                self._cards[index] = 0.0
            return count
        left = wanted
        for index, free in enumerate(self._cards):
            here = min(left, int(free / gpu + _ROUNDING))
            self._cards[index] -= here * gpu
            left -= here
        return wanted - left
