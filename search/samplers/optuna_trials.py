"""Optuna's own trial objects, rebuilt from what the run directory recorded of a proposal."""

from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.trial import TrialState

from analysis.run.trials import State


def frozen_trial(params: dict[str, Any], distributions: dict[str, str], state: State, values: list[float]) -> Any:
    """An Optuna trial out of the record, to rebuild its storage."""
    decoded: dict[str, BaseDistribution] = {
        name: optuna.distributions.json_to_distribution(text) for name, text in distributions.items()
    }
    return optuna.trial.create_trial(
        params=params,
        distributions=decoded,
        state=TrialState[state.name],
        values=values if state is State.COMPLETE else None,
    )
