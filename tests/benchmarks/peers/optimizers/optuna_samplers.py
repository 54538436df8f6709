"""Optuna's own samplers, asked and told as a user of Optuna would.

An ordered parameter is the rank of its value, an integer. TPE is multivariate and grouped, which suits a conditional
space, and is asked for what applies only; the other samplers do not know conditions, so they are asked for everything.
Random proposals before the models begin are as many as before Temper's.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState, create_trial

from tests.benchmarks.peers.optimizers.peer import (
    POPULATION,
    STARTUP,
    Left,
    Peer,
    Result,
    Suggestion,
    Task,
    complete,
    seeded,
)
from tests.benchmarks.peers.tables.table import Parameter, Params


def tpe(task: Task) -> Peer:
    def sampler(seed: int) -> BaseSampler:
        return optuna.samplers.TPESampler(multivariate=True, group=True, n_startup_trials=STARTUP, seed=seed)

    return _Optuna(task, sampler, conditional=True)


def gp(task: Task) -> Peer:
    return _Optuna(task, lambda seed: optuna.samplers.GPSampler(n_startup_trials=STARTUP, seed=seed))


def nsga2(task: Task) -> Peer:
    return _Optuna(task, lambda seed: optuna.samplers.NSGAIISampler(population_size=POPULATION, seed=seed))


def random(task: Task) -> Peer:
    return _Optuna(task, lambda seed: optuna.samplers.RandomSampler(seed=seed))


@dataclass
class _Asked:
    trial: optuna.Trial
    params: dict[str, Any]


class _Optuna:
    """An Optuna study of two objectives: score up, decades of cost down."""

    def __init__(self, task: Task, make: Callable[[int], BaseSampler], *, conditional: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._parameters, self._conditional = task.parameters, conditional
        with warnings.catch_warnings():  # several options are marked as experimental
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(directions=["maximize", "minimize"], sampler=make(seeded(task)))
        self._asked: _Asked | None = None

    def ask(self, left: Left) -> Suggestion:
        trial = self._study.ask()
        params: dict[str, Any] = {}
        for one in self._parameters:
            if not self._conditional or one.is_active(params):
                params[one.name] = _suggested(trial, one)
        self._asked = _Asked(trial, params)
        return Suggestion(params)

    def tell(self, result: Result) -> None:
        """Tell the result; if another recipe ran than was asked for, as a trial of that recipe's parameters.

        That trial keeps what the sampler noted on the one that was asked for, such as its generation. Optuna's samplers
        learn nothing from a trial that failed, as that one does.
        """
        assert self._asked is not None
        trial, asked = self._asked.trial, self._asked.params
        ran = dict(result.params) if self._conditional else complete(asked, result.params)
        values = [result.score, result.decades]
        if ran == asked:
            self._study.tell(trial, values)
            return
        noted = self._study._storage.get_trial(trial._trial_id).system_attrs
        self._study.tell(trial, state=TrialState.FAIL)
        known = [one for one in self._parameters if one.name in ran]
        self._study.add_trial(
            create_trial(
                params={one.name: _told(one, ran) for one in known},
                distributions={one.name: _distribution(one) for one in known},
                values=values,
                system_attrs=dict(noted),
            )
        )


def _suggested(trial: optuna.Trial, parameter: Parameter) -> Any:
    if parameter.ordered:
        return parameter.choices[trial.suggest_int(parameter.name, 0, len(parameter.choices) - 1)]
    return trial.suggest_categorical(parameter.name, parameter.choices)


def _told(parameter: Parameter, params: Params) -> Any:
    value = params[parameter.name]
    return parameter.choices.index(value) if parameter.ordered else value


def _distribution(parameter: Parameter) -> optuna.distributions.BaseDistribution:
    if parameter.ordered:
        return optuna.distributions.IntDistribution(0, len(parameter.choices) - 1)
    return optuna.distributions.CategoricalDistribution(parameter.choices)
