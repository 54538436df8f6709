"""Keeps finished bases and teachers, from which many trials start, in Ray's object store: a node copies each once."""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

RETRIES = 3  # tries of a call while an actor that was lost starts again


class ObjectCache:
    """A cache of finished bases and teachers by recipe id, shared by all processes of a search.

    The actor behind it, and what the driver stores, lie on the driver's node, and so outlive every other node. The
    cache itself can be pickled and sent to other processes.
    """

    def __init__(self) -> None:
        """Starts the actor that owns the cached objects, on the node of the driver, which must have joined Ray."""
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        keeper = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=RETRIES, scheduling_strategy=here)(_Keeper)
        self._keeper = keeper.remote()

    def put(self, recipe_id: str, content: Any) -> None:
        """Stores the result of one recipe."""
        ray.get(self._keeper.put.remote(recipe_id, _pack(content)))

    def take(self, recipe_id: str, recover: Callable[[], Any]) -> Any:
        """Returns the result of one recipe; its arrays stay in the object store of the caller's node.

        Args:
            recipe_id: id of a recipe that has finished.
            recover: makes the result again where the actor, or what it kept, was lost; the result is then stored anew.
        """
        try:
            return _unpack(ray.get(ray.get(self._keeper.get.remote(recipe_id))[0]))
        except (KeyError, ray.exceptions.RayActorError, ray.exceptions.ObjectLostError):
            content = recover()
            self.put(recipe_id, content)
            return content


@dataclass(frozen=True)
class _Packed:
    """An object as the keeper holds it: pickled, so that the keeper's process need not import what it is made of.

    Attributes:
        pickled: the object without the contents of its arrays.
        arrays: those contents, which Ray lets processes of a node share.
    """

    pickled: bytes
    arrays: list[NDArray[np.uint8]]


def _pack(content: Any) -> _Packed:
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
    return _Packed(pickled, [np.asarray(one.raw()) for one in buffers])


def _unpack(packed: _Packed) -> Any:
    return pickle.loads(packed.pickled, buffers=packed.arrays)


class _Keeper:
    """An actor that owns the cached objects, because objects of a trial's process would vanish with that process.

    It never imports PyTorch, which takes seconds, and for which the first finished base would have to wait.
    """

    def __init__(self) -> None:
        self._references: dict[str, ray.ObjectRef] = {}

    def put(self, recipe_id: str, content: _Packed) -> None:
        self._references[recipe_id] = ray.put(content)

    def get(self, recipe_id: str) -> list[Any]:
        """Returns the object's reference, in a list so that Ray does not fetch the object here. Raises KeyError."""
        return [self._references[recipe_id]]
