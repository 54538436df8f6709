"""Running a function on every node of a cluster, by tasks pinned to them."""

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

ANSWER_SECONDS = 60.0  # a fresh process on a busy node takes seconds to import Ray
Answer = TypeVar("Answer")


def ask(
    question: Callable[..., Answer], *arguments: Any, timeout: float = ANSWER_SECONDS, **options: float
) -> dict[str, Answer | Exception]:
    """Run a function on every node that is alive, all at once; it must be importable there, or pickled by value.

    Args:
        question: what to run; it occupies no CPU.
        arguments: of it.
        timeout: seconds, after which a node's answer is a TimeoutError.
        options: `num_cpus` and `num_gpus` to occupy.

    Returns:
        Ray's id of each node to its answer, or to what went wrong there.
    """
    import ray

    ids = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    return ask_each(dict.fromkeys(ids, 1), question, *arguments, timeout=timeout, **options)


def ask_each(
    copies: Mapping[str, int],
    question: Callable[..., Answer],
    *arguments: Any,
    timeout: float = ANSWER_SECONDS,
    **options: float,
) -> dict[str, Any]:
    """As `ask`, on these nodes with so many copies at once; the answer of a node with several is a list of them."""
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


def label(node: Mapping[str, Any]) -> str:
    """What to call a node, out of what Ray lists: host names alone may repeat."""
    return f"{node['NodeManagerHostname']}/{node['NodeID'][:6]}"
