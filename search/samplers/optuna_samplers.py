"""Makes Optuna's samplers by name, seeded for each ask, with the settings that suit a study."""

import warnings
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.search_space import IntersectionSearchSpace

from search.samplers.sampler import ASKS
from search.study.study import Study
from trainables.errors import TemperError

SEEDS = 2**32  # Optuna's samplers take smaller seeds only


class Grid(optuna.samplers.BruteForceSampler):
    """Proposes every combination of a finite space, each once, in random order."""

    def after_trial(self, *arguments: object) -> None:
        """Do nothing. Optuna's version stops the loop of `study.optimize` once the space is exhausted.

        Temper does not use that loop; its search ends by itself when candidates repeat.
        """


class _Sharing:
    """Makes a genetic sampler cross the parameters that all finished trials have, which are kept from ask to ask.

    Optuna's version goes through all trials again in each new sampler to find them.
    """

    def __init__(self, shared: IntersectionSearchSpace, **settings: Any) -> None:
        super().__init__(**settings)
        self._shared = shared

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return the parameters that all finished trials have, except those with a single value."""
        return {name: one for name, one in self._shared.calculate(study).items() if not one.single()}


class Nsga2(_Sharing, optuna.samplers.NSGAIISampler):
    """Optuna's NSGA-II, in a form that can be made anew for each ask at little cost."""


class Nsga3(_Sharing, optuna.samplers.NSGAIIISampler):
    """Optuna's NSGA-III, in a form that can be made anew for each ask at little cost."""


def optuna_sampler(
    study: Study, ask: int = 0, shared: IntersectionSearchSpace | None = None
) -> optuna.samplers.BaseSampler:
    """Make the Optuna sampler that a study names, seeded for one ask.

    What it proposes depends only on what it was told and on the ask's number. So a search that was killed goes on as
    it would have, and no sampler's state is ever saved.

    TPE is multivariate and grouped, which suits a conditional space, and counts running trials as bad (constant liar).
    Quasi-random is Sobol's sequence; parameters of a conditional space that it or the GP cannot draw are drawn at
    random. Grid goes through a finite space, each recipe once.

    Args:
        study: the study, which names a sampler of Optuna's.
        ask: number of the ask.
        shared: the parameters that all finished trials have, kept from ask to ask to save time; None: found anew.

    Raises:
        TemperError: the study's sampler is not one of Optuna's.
    """
    shared = shared or IntersectionSearchSpace()
    population = study.sampler.population
    seed, startup = (ASKS * study.seed + ask) % SEEDS, study.sampler.startup_trials
    with warnings.catch_warnings():
        # Options of TPE, the GP and the quasi-random sampler are marked as experimental.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match study.sampler.kind:
            case "tpe":
                return optuna.samplers.TPESampler(
                    multivariate=True, group=True, constant_liar=True, n_startup_trials=startup, seed=seed
                )
            case "nsga2":
                return Nsga2(shared, population_size=population, seed=seed)
            case "nsga3":
                return Nsga3(shared, population_size=population, seed=seed)
            case "gp":
                return optuna.samplers.GPSampler(n_startup_trials=startup, seed=seed, warn_independent_sampling=False)
            case "random":
                return optuna.samplers.RandomSampler(seed=seed)
            case "grid":
                return Grid(seed=seed)
            case "quasi_random":
                return optuna.samplers.QMCSampler(
                    qmc_type="sobol",
                    scramble=True,
                    seed=study.seed % SEEDS,  # of the sequence, of which each ask takes the next
                    independent_sampler=optuna.samplers.RandomSampler(seed=seed),
                    warn_independent_sampling=False,
                )
            case other:
                raise TemperError(f"{other}: not a sampler of Optuna's")
