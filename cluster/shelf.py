"""Keeps what many trials start from in Ray's object store, so that each node copies it once."""

from typing import Any

import ray


class Shelf:
    """An actor that owns finished bases and teachers: objects of a trial's process would vanish with that process.

    It stands apart from the trainables so that its process starts without importing PyTorch.
    """

    def __init__(self) -> None:
        self._references: dict[str, ray.ObjectRef] = {}

    def put(self, recipe_id: str, content: Any) -> None:
        """Store one recipe's result."""
        self._references[recipe_id] = ray.put(content)

    def get(self, recipe_id: str) -> list[Any]:
        """Its reference, in a list so that Ray does not fetch it here. Raises KeyError."""
        return [self._references[recipe_id]]
