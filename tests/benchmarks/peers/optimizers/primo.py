"""PriMO of NePS (neural-pipeline-search), without priors, which no other optimizer is given either.

It begins with multi-objective ASHA, for which a recipe can be trained for a part of its schedule and go on later, and
then models a weighted sum of the objectives. On a table without learning curves a part costs as much as the whole, and
to go on costs nothing.
"""

import warnings
from typing import Any

import numpy as np

from tests.benchmarks.peers.optimizers.peer import Left, Peer, Result, Suggestion, Task, complete, rank_of, seeded

PARTS = 9  # of a schedule: with the reduction factor of three, rungs at 1/9, 1/3 and all of it
FIDELITY = "part"


def primo(task: Task) -> Peer:
    return _PriMO(task)


class _PriMO:
    def __init__(self, task: Task) -> None:
        import torch
        from neps import AskAndTell
        from neps.optimizers.algorithms import primo as make
        from neps.space import HPOCategorical, HPOInteger, SearchSpace

        np.random.seed(seeded(task))  # NePS draws from NumPy's and PyTorch's global generators
        torch.manual_seed(seeded(task))
        self._parameters = task.parameters
        elements: dict[str, Any] = {
            one.name: HPOInteger(0, len(one.choices) - 1)
            if one.ordered and len(one.choices) > 1
            else HPOCategorical([str(rank) for rank in range(len(one.choices))])
            for one in task.parameters
        }
        size = max(2, len(task.parameters))  # NePS's own choice; with 1 it may model before any recipe has finished
        elements[FIDELITY] = HPOInteger(1, PARTS, is_fidelity=True)
        self._neps = AskAndTell(make(SearchSpace(elements), prior_centers={}, initial_design_size=size))
        self._asked: Any = None
        self._ran: dict[str, dict[str, Any]] = {}  # by NePS's number of the recipe: what ran in its place

    def ask(self, left: Left) -> Suggestion:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the numerics, which NePS silences in its own runs
            self._asked = self._neps.ask()
        config, share = dict(self._asked.config), float(self._asked.config[FIDELITY]) / PARTS
        ran = self._ran.get(self._number)
        if ran is not None:
            return Suggestion(ran, share, goes_on=True)
        params = {one.name: one.choices[int(config[one.name])] for one in self._parameters}
        return Suggestion(params, share)

    def tell(self, result: Result) -> None:
        """Tell the result of the recipe that ran, under the name of the one that was asked for."""
        told = {
            one.name: rank_of(one, result.params[one.name]) for one in self._parameters if one.name in result.params
        }
        self._ran[self._number] = dict(result.params)
        asked = self._neps.trials.pop(self._asked.id)
        self._neps.tell_custom(
            config_id=self._asked.id,
            config=complete(asked.config, told),
            result={"objective_to_minimize": [-result.score, result.decades]},
            previous_trial_id=asked.metadata.previous_trial_id,
        )

    @property
    def _number(self) -> str:
        """NePS's number of the recipe that was asked for; what stands behind it is the rung."""
        return str(self._asked.id).partition("_")[0]
