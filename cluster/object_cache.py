"""Keeps what many trials start from in Ray's object store, so that each node copies it once."""

from collections.abc import Callable
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

RETRIES = 3  # of a call, while a lost keeper starts again


class ObjectCache:
    """Finished bases and teachers, by recipe id; may be sent to other processes.

    They lie on the driver's node, and so outlive every other one.
    """

    def __init__(self) -> None:
        """Start the keeper on the node of the driver, which must have joined Ray."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        keeper = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=RETRIES, scheduling_strategy=here)(_Keeper)
        self._keeper = keeper.remote()

    def put(self, recipe_id: str, content: Any) -> None:
        """Store one recipe's result."""
        ray.get(self._keeper.put.remote(recipe_id, content))

    def take(self, recipe_id: str, recover: Callable[[], Any]) -> Any:
        """One recipe's result; its arrays stay in the node's object store.

        Args:
            recipe_id: of a recipe that has finished.
            recover: makes the result again where the keeper, or what it kept, was lost; it is stored then.
        """
        try:
            return ray.get(ray.get(self._keeper.get.remote(recipe_id))[0])
        except (KeyError, ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):
            content = recover()
            self.put(recipe_id, content)
            return content


class _Keeper:
    """An actor that owns what is kept: objects of a trial's process would vanish with that process.

    Its module stands apart from the trainables so that its process starts without importing PyTorch.
    """

    def __init__(self) -> None:
        self._references: dict[str, ray.ObjectRef] = {}

    def put(self, recipe_id: str, content: Any) -> None:
        self._references[recipe_id] = ray.put(content)

    def get(self, recipe_id: str) -> list[Any]:
        """Its reference, in a list so that Ray does not fetch it here. Raises KeyError."""
        return [self._references[recipe_id]]
