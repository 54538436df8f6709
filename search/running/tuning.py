"""Puts searcher, scheduler, trainable and callbacks together, and runs a study with them on Ray Tune."""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, cast

from ray import tune
from ray.widgets.util import in_notebook

from analysis.run.extensions import Spent
from cluster.connection.interrupts import INTERRUPTS
from cluster.connection.session_folder import session_path
from cluster.object_cache import ObjectCache
from search.events import Listener
from search.failures import why_unwritable
from search.halving.judge import Judge
from search.halving.scheduler import ParetoHalving
from search.recipes.fixed import FixedRecipes
from search.resume.history import RememberedTrial
from search.running.callbacks import ForgetCallback, HangCallback, InterruptCallback
from search.running.capacity import Capacity
from search.running.searcher import ParetoSearcher
from search.samplers.sampler import sampler_of
from search.samplers.warm_start import PastTrial
from search.study.study import Study
from search.surrogate.cost_model import CostModel
from search.surrogate.counting_ahead import CountingAhead
from trainables.checkpoints.recovery import recover
from trainables.checkpoints.trained_model import TrainedModel
from trainables.data.splits import Splits
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder
from trainables.trainable import Allotment, RecipeTrainable, Setting

TUNE_STATE = ".tune"  # folder in a run that earlier versions left there when they were killed; nothing needs it


def tune_study(
    study: Study,
    fixed: FixedRecipes,
    folder: Folder,
    splits: Splits,
    listeners: Sequence[Listener],
    past_trials: Sequence[PastTrial],
    past: Sequence[RememberedTrial],
    trained: Mapping[str, TrainedModel],
    *,
    capacity: Capacity,
    hours_before: float,
    since: Spent,
    still_held: Callable[[], object],
    asked_to_stop: Callable[[], str | None] = lambda: None,
) -> None:
    """Run what is left of a study on Ray Tune, and wait until it has ended. Ray must have been started.

    Args:
        study: the study to run.
        fixed: its fixed recipes.
        folder: the run's folder.
        splits: the study's data.
        listeners: are told of what is proposed, reported and ended, in this order.
        past_trials: proposals of earlier runs from which the sampler learns.
        past: the trials of this run, if it is resumed.
        trained: finished recipes that are the base or the teacher of others, by id.
        capacity: the cluster's room, and where each role's trials go.
        hours_before: hours for which earlier drivers worked on this run.
        since: what had been spent when the budget was last extended.
        still_held: is called all the time, and raises or ends the process if another driver has taken the run.
        asked_to_stop: returns who asked that nothing more is proposed, None where nobody did.
    """
    setting = Setting(
        evaluation=study.protocol,
        trials=folder.anchored().child("trials").kept(),
        bases=fixed.parents,
        teachers=fixed.teachers,
        shares={role: Allotment(one.cpu, one.gpu, one.device) for role, one in capacity.placements.items()},
    )
    cache = ObjectCache()
    for recipe_id, one in trained.items():
        cache.put(recipe_id, one)
    trainable = tune.with_parameters(RecipeTrainable, setting=setting, splits=splits, cache=cache)
    judge = Judge.of(study, fixed)
    halving, hangs = ParetoHalving(judge), HangCallback(study.budget.epoch_timeout)

    def fetch(recipe: Recipe) -> TrainedModel:
        again = partial(recover, recipe, setting.trials, splits, setting.teachers)
        return cast(TrainedModel, cache.take(recipe.id, again))

    costs = CostModel(study, fixed, splits, fetch)
    sampler = sampler_of(study, fixed, costs, past_trials)
    proposes = study.space is not None and study.budget.trials > 0
    counting = CountingAhead(study, fixed, costs) if sampler.considers_compute and proposes else None
    searcher = ParetoSearcher(
        study,
        fixed,
        sampler,
        [*listeners, costs, *(one for one in (counting, judge) if one is not None)],
        lambda trial_id: hangs.endings.get(trial_id) or halving.failures.get(trial_id),
        halving.stops.get,
        has_place=capacity.has_place,
        hours_before=hours_before,
        since=since,
        may_ask=(lambda: True) if counting is None else counting.ready,
        why_unwritable=partial(why_unwritable, folder),
        asked_to_stop=asked_to_stop,
    )
    searcher.replay(past)
    checks = [INTERRUPTS.check, still_held, searcher.listeners.check]
    # In a notebook, Tune's own would first clear what was printed before.
    reporter = tune.JupyterNotebookReporter(overwrite=False) if in_notebook() else None
    tuner = tune.Tuner(
        tune.with_resources(trainable, capacity.request),
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=halving,
            num_samples=fixed.planned,
            reuse_actors=True,
            trial_name_creator=_trial_id,
            trial_dirname_creator=_trial_id,
        ),
        run_config=tune.RunConfig(
            name="tune",
            # No resumed search needs Tune's state, and Tune would make the folder of a run anew that is away.
            storage_path=str(session_path()),
            callbacks=[InterruptCallback(checks), hangs, ForgetCallback()],
            verbose=0,
            progress_reporter=reporter,
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            failure_config=tune.FailureConfig(max_failures=study.budget.retries),
        ),
    )
    # Errors reach the command, which says what they mean; Tune would print the stack of each one before.
    logging.getLogger("ray.tune.execution.tune_controller").setLevel(logging.CRITICAL)
    with INTERRUPTS.deferred(), counting or nullcontext():
        tuner.fit()


def _trial_id(trial: Any) -> str:
    return str(trial.trial_id)
