"""Runs a function on every node of a cluster, in Ray tasks that are pinned to their nodes; tries the way to them."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

ANSWER_SECONDS = 60.0  # long, because a new process on a busy node takes seconds to import Ray
DELIVERY_SECONDS = 30.0
DELIVERED = 1_000_000  # bytes; smaller objects go with the call itself, on another port
Answer = TypeVar("Answer")


def ask_every_node(
    question: Callable[..., Answer], *arguments: Any, timeout: float = ANSWER_SECONDS, **options: float
) -> dict[str, Answer | Exception]:
    """Runs a function on all living nodes at once, and returns what it returned on each.

    Args:
        question: the function; the nodes must be able to import it, unless it is pickled by value.
        arguments: its arguments.
        timeout: seconds, after which a node's answer is a TimeoutError.
        options: `num_cpus` and `num_gpus` that the function occupies; without them it occupies no CPU.

    Returns:
        Ray's id of each node, to the function's result or to the exception there.
    """
    import ray

    ids = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    return ask_nodes(dict.fromkeys(ids, 1), question, *arguments, timeout=timeout, **options)


def ask_nodes(
    copies: Mapping[str, int],
    question: Callable[..., Answer],
    *arguments: Any,
    timeout: float = ANSWER_SECONDS,
    **options: float,
) -> dict[str, Any]:
    """Runs a function on the given nodes, as `ask_every_node` does, with several copies at once if asked.

    Args:
        copies: Ray's id of each node, to the number of copies to run there.
        question: the function.
        arguments: its arguments.
        timeout: seconds, after which a node's answer is a TimeoutError.
        options: `num_cpus` and `num_gpus` that each copy occupies.

    Returns:
        Ray's id of each node, to the result (a list of results where there are several copies) or to the exception.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote = ray.remote(question)
    asked = {
        node: [
            remote.options(
                **({"num_cpus": 0} | options),
                max_retries=0,
                scheduling_strategy=NodeAffinitySchedulingStrategy(node_id=node, soft=False),
            ).remote(*arguments)
            for _ in range(count)
        ]
        for node, count in copies.items()
    }
    deadline = time.monotonic() + timeout
    answers: dict[str, Any] = {}
    for node, references in asked.items():
        try:
            found = ray.get(references, timeout=max(0.0, deadline - time.monotonic()))
            answers[node] = found[0] if len(found) == 1 else found
        except ray.exceptions.GetTimeoutError:
            answers[node] = TimeoutError(f"no answer within {timeout:.0f} s")
        except (ray.exceptions.RayError, ImportError, OSError) as error:
            answers[node] = error
    return answers


def undelivered() -> dict[str, str]:
    """Finds the nodes that cannot fetch an object from the driver's node, or whose objects the driver cannot fetch.

    Calls alone may pass where a firewall closes the ports of the object store: then every trial waits for data.

    Returns:
        Name of each such node, to what went wrong.
    """
    import ray

    answers = ask_every_node(_return, ray.put(bytes(DELIVERED)), timeout=DELIVERY_SECONDS)
    return {
        label(node): str(answer) or type(answer).__name__
        for node in ray.nodes()
        if isinstance(answer := answers.get(node["NodeID"]), Exception)
    }


def _return(content: bytes) -> bytearray:
    return bytearray(content)


def label(node: Mapping[str, Any]) -> str:
    """Returns a unique name for a node that Ray lists; host names alone may repeat."""
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:6]}"
