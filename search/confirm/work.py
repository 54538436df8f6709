"""Runs a task for each trained network on Ray, as many at once as there is room, where each writes its own result."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cluster.placement.placement import Placement
from search.monitoring.progress import Terminal
from trainables.data.splits import Splits
from trainables.errors import InvalidInput
from trainables.recipe.recipe import Recipe

RETRIES = 3  # of a task whose node was lost


@dataclass(frozen=True, eq=False)
class Work:
    """What is to be done with trained networks.

    Attributes:
        words: says what is done, with {} where the number of networks goes.
        verb: says it in a word.
        task: is called with a network's arguments, the data, the placement, and what is shared; it writes its result,
            and returns None, or what went wrong in words.
        left: for each network that is left to do, its recipe and the task's first arguments.
        shared: further arguments, the same for all.
        told: returns what is said of a network that is done.
    """

    words: str
    verb: str
    task: Callable[..., str | None]
    left: Sequence[tuple[Recipe, tuple[Any, ...]]]
    shared: tuple[Any, ...]
    told: Callable[[Recipe], str]


def run_work(
    work: Work, splits: Splits, *, placement: Placement, terminal: Terminal, check: Callable[[], object]
) -> None:
    """Do what is left.

    Args:
        work: what is to be done.
        splits: the data that the networks were trained on.
        placement: what each task takes, and on which nodes.
        terminal: prints a line for each network, and shows how many are done.
        check: is called while it waits, and raises if it must end.

    Raises:
        InvalidInput: a task went wrong.
    """
    import ray

    if not work.left:
        return
    options: dict[str, Any] = {"num_cpus": placement.cpu, "num_gpus": placement.gpu, "max_retries": RETRIES}
    if placement.labels:
        options["label_selector"] = dict(placement.labels)
    task = ray.remote(**options)(work.task)
    data, shared = ray.put(splits), [ray.put(one) for one in work.shared]
    running = {task.remote(*own, data, placement, *shared): recipe for recipe, own in work.left}
    terminal.line(work.words.format(len(work.left)))
    done = 0
    terminal.doing(work.verb, done, len(work.left))
    try:
        while running:
            check()
            ready, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            for one in ready:
                recipe = running.pop(one)
                problem = ray.get(one)
                if problem is not None:
                    raise InvalidInput(problem)
                done += 1
                terminal.line(f"{done:4d}/{len(work.left)}  {recipe.id[:8]}  {work.told(recipe)}")
                terminal.doing(work.verb, done, len(work.left))
    finally:
        terminal.status("")
        for one in running:
            ray.cancel(one, force=True)
