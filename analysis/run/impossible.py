"""Finds values in a trial's record that no search writes: a record that was edited, or damaged without being torn."""

import math
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

_LARGEST = sys.float_info.max
_SHARES = ("accuracy", "_share", "_stderr", "answers_one_class")  # ends of the names of metrics between 0 and 1
_UNSIGNED = ("flops", "_macs", "_bitops", "_bytes", "_seconds", "_joules", "_ratio", "parameters", "epochs", "epoch")


def impossible(record: Mapping[str, Any], outcome: Mapping[str, Any]) -> str | None:
    """Return what is impossible in a trial's recipe.json or outcome.json, in words; None if nothing is.

    Args:
        record: content of recipe.json.
        outcome: content of outcome.json; empty if the trial has not ended.
    """
    return next(_problems(record, outcome), None)


def _problems(record: Mapping[str, Any], outcome: Mapping[str, Any]) -> Iterator[str]:
    if not _whole(record["number"]):
        yield f"number {record['number']!r}, expected a whole number from 0"
    if not isinstance(record["recipe"], dict):
        yield "recipe is no group of keys"
    if not outcome:
        return
    if outcome.get("order") is not None and not _whole(outcome["order"]):
        yield f"order {outcome['order']!r}, expected a whole number from 0"
    if not _number(outcome.get("seconds", 0.0)) or outcome.get("seconds", 0.0) < 0:
        yield f"seconds {outcome['seconds']!r}, expected a number from 0"
    metrics = outcome.get("metrics") or {}
    if not isinstance(metrics, dict):
        yield "metrics is no group of numbers"
        return
    for name, value in metrics.items():
        low, high, expected = _limits(name)
        if not _number(value):
            yield f"{name} {value!r}, expected a number"
        elif not low <= value <= high:
            yield f"{name} {value!r}, expected {expected}"
    bits: Any = outcome.get("robust_correct")
    examples: Any = outcome.get("examples")
    if bits and not (_whole(examples) and (examples + 7) // 8 == len(bits) // 2):
        yield f"examples {examples!r}, expected the number of images that robust_correct has bits for"


@lru_cache(maxsize=1024)  # trials have the same forty names
def _limits(name: str) -> tuple[float, float, str]:
    """Return the least and the largest value that a metric may have, and what to say where it has another one."""
    if name.endswith(_SHARES):
        return 0, 1, "a number from 0 to 1"
    return (0, math.inf, "a number from 0") if name.endswith(_UNSIGNED) else (-math.inf, math.inf, "a number")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= _LARGEST


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
