import optuna
import pytest
from optuna.trial import TrialState

from search.samplers.optuna_storage import BoundedStorage


def told(newest: int, values: list[tuple[float, float]]) -> optuna.Study:
    """A study, one objective to maximise and one to minimise, with trials that ended so."""
    study = optuna.create_study(directions=["maximize", "minimize"], storage=BoundedStorage(["max", "min"], newest))
    for one in values:
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, list(one))
    return study


def numbers(study: optuna.Study) -> list[int]:
    return [trial.number for trial in study.get_trials(deepcopy=False)]


def test_of_the_older_ones_those_that_no_older_one_dominates_are_shown() -> None:
    values = [(0.1, 1.0), (0.1, 2.0), (0.5, 5.0), (0.4, 6.0), (0.0, 9.0), (0.0, 9.0)]
    assert numbers(told(2, values)) == [0, 2, 4, 5]
    assert numbers(told(6, values)) == [0, 1, 2, 3, 4, 5]


def test_what_runs_or_waits_is_shown_however_old_it_is() -> None:
    study = told(2, [])
    running = study.ask()
    for _ in range(5):
        study.tell(study.ask(), [0.0, 0.0])
    study.enqueue_trial({"x": 0.25})
    assert numbers(study) == [0, *range(1, 7)]  # equal ones do not dominate each other
    assert study.ask().suggest_float("x", 0, 1) == 0.25
    study.tell(running, [1.0, -1.0])
    study.tell(study.ask(), [0.0, 0.0])
    assert [trial.number for trial in study.get_trials(states=(TrialState.RUNNING,))] == [6]


def test_the_oldest_that_failed_were_pruned_or_break_a_constraint_are_not_kept() -> None:
    study = told(1, [])
    for state in (TrialState.FAIL, TrialState.PRUNED):
        study.tell(study.ask(), state=state)
    broken = study.ask()
    broken.set_constraint("clean_accuracy >= 0.5", 0.1)
    study.tell(broken, [1.0, 0.0])
    study.tell(study.ask(), [0.2, 1.0])
    study.tell(study.ask(), [0.1, 2.0])
    assert numbers(study) == [3, 4]


def test_a_trial_that_is_not_shown_can_be_read_and_told_values_stay() -> None:
    study = told(1, [(0.0, 2.0), (0.1, 1.0), (0.2, 0.5)])
    assert numbers(study) == [1, 2]
    assert study._storage.get_trial(0).values == [0.0, 2.0]


@pytest.mark.parametrize("newest", [3, 1000])
def test_trials_of_earlier_runs_count(newest: int) -> None:
    study = told(newest, [])
    for value in range(5):
        study.add_trial(optuna.trial.create_trial(values=[float(value), float(value)]))
    assert numbers(study) == [0, 1, 2, 3, 4]  # on the front, each of them
