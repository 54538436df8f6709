"""A search by recorded curves that can be killed after any step and go on from its record, in a known order."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from search.events import Listener, Outcome, Proposal, Row
from search.halving.judge import Judge
from search.halving.scheduler import ParetoHalving
from search.recipes.fixed import FixedRecipes
from search.resume.history import RememberedTrial
from search.running.searcher import ParetoSearcher
from search.samplers.sampler import sampler_of
from search.simulation.recording import Curve
from search.simulation.virtual_cluster import VirtualTrial
from search.study.study import Study
from trainables.execution.ending import Ending
from trainables.recipe.recipe import Recipe


class Record(Listener):
    """The record of a search, as a run directory keeps it."""

    def __init__(self, past: Sequence[RememberedTrial] = ()) -> None:
        self.past = {one.proposal.recipe.id: one for one in past}
        self._orders = itertools.count(1 + max((one.order for one in past), default=-1))

    live_only = True

    def proposed(self, proposal: Proposal) -> None:
        self.past[proposal.recipe.id] = RememberedTrial(proposal, None, -1, ())

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        one = self.past[proposal.recipe.id]
        self.past[proposal.recipe.id] = RememberedTrial(proposal, None, -1, (*one.history, dict(row)))

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        history = self.past[proposal.recipe.id].history
        self.past[proposal.recipe.id] = RememberedTrial(proposal, outcome, next(self._orders), history)


class Search:
    """A search of so many trials at once: at each step the one that was proposed first reports an epoch, or ends.

    The one that goes next is chosen by recipe alone, so an unbroken search and a resumed one take the same steps.
    """

    def __init__(
        self,
        study: Study,
        curves: Mapping[Recipe, Curve],
        workers: int,
        past: Sequence[RememberedTrial] = (),
        turn: Callable[[VirtualTrial], Any] = lambda trial: trial.config["number"],
    ) -> None:
        """Start, or go on.

        Args:
            study: how to search.
            curves: of every recipe that it may run.
            workers: trials at once.
            past: what the search did before it was killed.
            turn: the running trial of the least is the next that reports.
        """
        self.record, self._curves, self._workers, self._turn = Record(past), curves, workers, turn
        fixed = FixedRecipes.of(study)
        compute = "train_flops"
        judge = Judge.of(study, fixed)
        self._halving, self._ids = ParetoHalving(judge), itertools.count()
        self._searcher = ParetoSearcher(
            study,
            fixed,
            sampler_of(study, fixed, lambda recipe: {compute: curves[recipe].planned(compute)}),
            [self.record, *([] if judge is None else [judge])],
            self._halving.failures.get,
            self._halving.stops.get,
            clock=lambda: 0.0,
        )
        self._running: list[VirtualTrial] = []
        self._epochs = {one.proposal.recipe.id: len(one.history) for one in past}
        if past:
            self._searcher.replay(past)
        self._fill()

    @property
    def over(self) -> bool:
        return not self._running

    def proposals(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Everything that was proposed, in its order: ids of recipes, and their parameters."""
        return [(one.proposal.recipe.id, one.proposal.params) for one in self.record.past.values()]

    def step(self) -> None:
        """One report."""
        trial = min(self._running, key=self._turn)
        result = trial.result()
        if not trial.is_last:
            answer = self._halving.on_trial_result(None, trial, result)
            if answer != TrialScheduler.STOP:
                self._searcher.on_trial_result(trial.trial_id, result)
                trial.epoch += 1
                return
        self._running.remove(trial)
        self._searcher.on_trial_complete(trial.trial_id, result)
        self._fill()

    def _fill(self) -> None:
        """Start trials while workers are idle."""
        while len(self._running) < self._workers:
            trial_id = str(next(self._ids))
            suggestion = self._searcher.suggest(trial_id)
            if suggestion is None or suggestion == Searcher.FINISHED:
                return
            assert isinstance(suggestion, dict)
            curve = self._curves[Recipe.model_validate(suggestion["recipe"])]
            epochs = self._epochs.pop(suggestion["id"], 0)
            self._running.append(VirtualTrial(trial_id, suggestion, curve, epoch=epochs + 1))
