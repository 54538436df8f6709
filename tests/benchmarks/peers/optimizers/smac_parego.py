"""SMAC3, in its facade for hyperparameter optimization, with ParEGO's random weights of the two objectives."""

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from tests.benchmarks.peers.optimizers.peer import Left, Peer, Result, Suggestion, Task, complete, rank_of, seeded
from tests.benchmarks.peers.tables.table import ABSENT


def parego(task: Task) -> Peer:
    return _Smac(task)


class _Smac:
    def __init__(self, task: Task) -> None:
        from smac import HyperparameterOptimizationFacade, Scenario

        self._parameters = task.parameters
        self._space = _space(task)
        folder = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, folder)  # SMAC writes settings there, and no results
        scenario = Scenario(
            self._space,
            objectives=["loss", "decades"],
            deterministic=True,
            n_trials=task.trials,
            seed=seeded(task) % 2**31,
            output_directory=Path(folder),
        )
        facade = HyperparameterOptimizationFacade
        self._smac = facade(
            scenario,
            _never_called,
            multi_objective_algorithm=facade.get_multi_objective_algorithm(scenario),
            logging_level=False,
            overwrite=True,
        )
        self._info: Any = None  # what SMAC was asked for last
        self._asked: Any = None  # the configuration that was suggested last
        self._exhausted = False

    def ask(self, left: Left) -> Suggestion:
        """Ask SMAC. Once it takes the space for exhausted, configurations are drawn at random, and moved as any."""
        from smac.main.exceptions import ConfigurationSpaceExhaustedException

        try:
            self._info = self._info if self._exhausted else self._smac.ask()
        except ConfigurationSpaceExhaustedException:
            self._exhausted = True
        self._asked = self._space.sample_configuration() if self._exhausted else self._info.config
        chosen = dict(self._asked)
        known = [one for one in self._parameters if one.name in chosen]
        return Suggestion({one.name: one.choices[int(chosen[one.name])] for one in known})

    def tell(self, result: Result) -> None:
        """Tell the result, of the recipe that ran: SMAC takes results that it did not ask for."""
        from ConfigSpace.util import deactivate_inactive_hyperparameters
        from smac.runhistory.dataclasses import TrialInfo, TrialValue

        ran = {one.name: rank_of(one, result.params[one.name]) for one in self._parameters if one.name in result.params}
        chosen = complete({**self._space.get_default_configuration(), **self._asked}, ran)
        info = TrialInfo(deactivate_inactive_hyperparameters(chosen, self._space), seed=self._info.seed)
        self._smac.tell(info, TrialValue(cost=[-result.score, result.decades]), save=False)


def _never_called(config: Any, seed: int = 0) -> list[float]:
    raise RuntimeError("SMAC is asked and told, so it never runs a recipe itself")


def _space(task: Task) -> Any:
    from ConfigSpace import Categorical, ConfigurationSpace, InCondition, Integer

    space = ConfigurationSpace(seed=seeded(task) % 2**31)
    made = {
        one.name: Integer(one.name, (0, len(one.choices) - 1))
        if one.ordered and len(one.choices) > 1
        else Categorical(one.name, [str(rank) for rank in range(len(one.choices))])
        for one in task.parameters
    }
    space.add(*made.values())
    for one in task.parameters:
        if len(one.parents) == 1:  # what depends on several parameters is always chosen, and moved away when it ran
            parent = next(other for other in task.parameters if other.name == one.parents[0])
            values = [rank_of(parent, value) for (value,) in one.values if value != ABSENT]
            space.add(InCondition(made[one.name], made[parent.name], sorted(values, key=str)))
    return space
