"""Estimates out of a run's record: those of the sampler that ran the search, and of which samplers there are none."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from analysis.run.trials import ESTIMATES, Run, Trial, read_run
from search.recipes.fixed import FixedRecipes
from search.record.derived_files import up_to_date, with_estimates, write_estimates
from search.resume.history import RememberedTrial
from search.samplers.estimates import estimates_of
from search.simulation.recording import Curve
from search.study.study import Study
from tests.support.made_recordings import finite, made
from tests.support.replayed_search import Search
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

SETTINGS = ("sampler={kind: cost_aware, startup_trials: 4}", "budget.trials=10", "data.validation_size=100")
STUDY = finite(*SETTINGS)


def search(study: Study, curves: Mapping[Recipe, Curve]) -> Search:
    found = Search(study, curves, 1)
    while not found.over:
        found.step()
    return found


def noisy(study: Study) -> dict[Recipe, Curve]:
    """Curves whose final score has the noise of a hundred images."""
    rng, curves = np.random.default_rng(0), made(study).of(study)
    for recipe, curve in curves.items():
        right = rng.binomial(100, curve.metrics["robust_accuracy"])
        curves[recipe] = replace(curve, metrics={**curve.metrics, "robust_accuracy": right / 100})
    return curves


def recorded(study: Study, past: list[RememberedTrial], place: Path) -> Run:
    fixed, trials = FixedRecipes.of(study), []
    for one in past:
        proposal, outcome = one.proposal, one.outcome
        assert outcome is not None
        trials.append(
            Trial(
                id=proposal.recipe.id,
                role=proposal.role,
                name=proposal.name,
                number=proposal.number,
                params=dict(proposal.params),
                distributions=dict(proposal.distributions),
                asked=None if proposal.asked is None else asdict(proposal.asked),
                recipe=proposal.recipe.model_dump(mode="json"),
                ending=outcome.ending,
                order=one.order,
                started=None,
                ended=None,
                seconds=1.0,
                metrics=dict(outcome.metrics or {}),
                history=one.history,
                robust_correct=None,
            )
        )
    return Run(Folder(str(place)), {"base": fixed.base.recipe.id, "reference": "none"}, tuple(trials), ())


@pytest.fixture(scope="module")
def done() -> Search:
    return search(STUDY, noisy(STUDY))


def test_they_are_those_of_the_sampler_that_ran_the_search(tmp_path: Path, done: Search) -> None:
    run = recorded(STUDY, list(done.record.past.values()), tmp_path)
    live = done._searcher._sampler.estimates()
    assert estimates_of(run, STUDY) == live
    assert set(live) == {trial.id for trial in run.trials if trial.role == "proposed"}


def test_they_are_nearer_to_the_truth_than_the_scores(tmp_path: Path) -> None:
    study = finite(*SETTINGS, "budget.trials=24")
    truth, curves = made(study).of(study), noisy(study)
    run = recorded(study, list(search(study, curves).record.past.values()), tmp_path)
    estimates = estimates_of(run, study)
    errors = {
        recipe.id: (
            estimates[recipe.id]["robust_accuracy"] - truth[recipe].metrics["robust_accuracy"],
            curves[recipe].metrics["robust_accuracy"] - truth[recipe].metrics["robust_accuracy"],
            estimates[recipe.id]["robust_accuracy_stderr"],
        )
        for recipe in curves
        if recipe.id in estimates
    }
    by_estimate, by_score, told = np.sqrt(np.mean(np.square(list(errors.values())), axis=0))
    assert by_estimate < 0.8 * by_score
    assert 0.5 < by_estimate / told < 2


@pytest.mark.parametrize("settings", [["sampler.kind=tpe"], ["budget.trials=3"], ["budget.trials=0"]])
def test_there_are_none_without_a_model_or_with_too_few_scores_for_one(settings: list[str], tmp_path: Path) -> None:
    study = finite(*SETTINGS, *settings)
    run = recorded(study, list(search(study, noisy(study)).record.past.values()), tmp_path)
    assert estimates_of(run, study) == {}


def test_parameters_that_make_another_recipe_in_this_version_have_none_and_the_report_says_why(
    tmp_path: Path, done: Search
) -> None:
    run = recorded(STUDY, list(done.record.past.values()), tmp_path)
    epochs = 4 if run.trials[-1].params["epochs"] == 16 else 16
    last = replace(run.trials[-1], params={**run.trials[-1].params, "epochs": epochs})
    changed = replace(run, trials=(*run.trials[:-1], last))
    changed.folder.write_json("study.yaml", STUDY.model_dump(mode="json"))
    found = with_estimates(changed)
    assert not any(trial.estimate for trial in found.trials)
    assert last.id in found.not_estimated
    assert with_estimates(run).not_estimated == ""


def test_a_report_writes_them_and_takes_those_away_that_hold_no_more(tmp_path: Path, done: Search) -> None:
    study, run = STUDY, recorded(STUDY, list(done.record.past.values()), tmp_path)
    run.folder.write_json("study.yaml", study.model_dump(mode="json"))
    run.folder.write_json("run.json", {**run.info, "format": 1})
    found = with_estimates(run)
    write_estimates(found)
    assert {trial.id: dict(trial.estimate) for trial in found.trials if trial.estimate} == estimates_of(run, study)
    assert run.folder.read_json(ESTIMATES) == estimates_of(run, study)
    assert up_to_date(found) is found
    assert up_to_date(run) == found  # as of a search that was killed, which has written none
    early = replace(run, trials=run.trials[:5])
    assert not any(trial.estimate for trial in with_estimates(early).trials)
    write_estimates(with_estimates(early))
    assert not run.folder.exists(ESTIMATES)
    assert read_run(run.folder).trials == ()
