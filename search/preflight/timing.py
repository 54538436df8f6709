"""Times a study's reference and a proposal in the slots of a cluster or of this machine."""

import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from cluster.doctor.per_node import ask_nodes
from cluster.placement.capacity import nodes as nodes_there
from cluster.placement.placement import ACCELERATOR, slots
from search.preflight.estimate import Slots
from search.preflight.workload import Work, timed
from search.study.study import Study
from trainables.data.splits import Splits
from trainables.errors import InvalidInput, TemperError
from trainables.estimation.speed import Speed, time_recipe

TIMING_SECONDS = 15.0  # for which each of the two recipes is timed
TIMING_TIMEOUT = 600.0


def measured_slots(study: Study, splits: Splits, works: Sequence[Work], seconds: float = TIMING_SECONDS) -> list[Slots]:
    """Return the cluster's slots by type of device, with the speeds measured on one node of each type; Ray must run.

    All of the node's slots are timed at once, since trials that run beside each other slow each other down.

    Args:
        study: the study, whose trials' resources say how many slots there are.
        splits: its data.
        works: its work, from `workload`.
        seconds: time to take for each of the two recipes.

    Raises:
        InvalidInput: a trial fits on no node.
        TemperError: training fails on a node.
    """
    import ray

    wanted, at_most = study.resources.of("proposed"), study.resources.max_concurrent
    types: dict[str, dict[str, int]] = {}
    left = math.inf if at_most is None else at_most
    for node in nodes_there():
        count = int(min(left, slots([node], wanted)))
        left -= count
        kind = node.labels.get(ACCELERATOR) or "GPU" if wanted.gpu else "CPU"
        if count:
            types.setdefault(kind, {})[node.id] = count
    if not types:
        raise InvalidInput(f"resources: got {wanted} a trial, expected what a node has")
    shared: Any = ray.put(splits)
    measured = []
    for kind, by_node in types.items():
        node_id, count = next(iter(by_node.items()))
        fixed, proposed = (
            _mean(
                ask_nodes(
                    {node_id: count},
                    _timed,
                    (recipe.model_dump(mode="json"), study.protocol, wanted.cpu, wanted.device == "cuda", seconds),
                    shared,
                    timeout=TIMING_TIMEOUT,
                    num_cpus=float(wanted.cpu),
                    num_gpus=wanted.gpu,
                )[node_id]
            )
            for recipe in timed(works, study.reference)
        )
        measured.append(Slots(kind, sum(by_node.values()), fixed, proposed, wanted.gpu or wanted.cpu))
    return measured


def _timed(what: Any, splits: Splits) -> Speed:
    """Time a recipe; this runs in a process on the node that is timed."""
    from trainables.recipe.recipe import Recipe
    from trainables.user_modules import go_to_work

    go_to_work()
    recipe, evaluation, threads, gpu, seconds = what
    made = Recipe.model_validate(recipe)
    return time_recipe(made, evaluation, splits, threads=threads, gpu=gpu, seconds=seconds)


def _mean(answers: Speed | list[Speed] | Exception) -> Speed:
    """Return the mean speed of slots that worked at once. Raises TemperError if one of them failed."""
    if isinstance(answers, Exception):
        raise TemperError(f"the study's own step failed on a node: {answers}") from answers
    all_of = answers if isinstance(answers, list) else [answers]
    means = {one.name: sum(getattr(each, one.name) for each in all_of) / len(all_of) for one in fields(Speed)}
    return Speed(**means)
