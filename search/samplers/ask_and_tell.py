"""Puts Optuna's samplers behind Temper's interface: asks them for recipes, and tells them how those ended."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from search.events import Outcome, Proposal
from search.recipes.choosers import RandomChooser, combinations
from search.recipes.finite_space import LOOKED_AT
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.samplers.optuna_samplers import optuna_sampler
from search.samplers.optuna_storage import BoundedStorage, frozen_trial
from search.samplers.sampler import Asks, Candidate, Sampler, SearchState, same_recipe
from search.samplers.warm_start import PastTrial
from search.study.study import Study
from trainables.evaluation.chance import learnt_nothing
from trainables.evaluation.metrics import OBJECTIVES
from trainables.execution.ending import State
from trainables.recipe.recipe import Recipe

PATIENCE = 16  # candidates that may be refused in a row before one is looked for that is left
NO_STATE = SearchState(1.0, {})  # for repeated asks: Optuna's samplers do not look at the state of the search
REMEMBERING = ("nsga2", "nsga3", "quasi_random")  # keep generations, or their position in a sequence, in the storage
TPE = "tpe:"  # prefix of what TPE notes on a trial, which its constant liar reads while the trial runs
_STATES = {State.COMPLETE: TrialState.COMPLETE, State.PRUNED: TrialState.PRUNED, State.FAIL: TrialState.FAIL}


class OptunaSampler(Sampler):
    """Proposes recipes with one of Optuna's samplers, which is made anew and seeded for each ask.

    If a candidate is refused because its recipe has ended already, Optuna is told how that recipe ended, so that the
    sampler turns elsewhere. Any other refused candidate is told as FAIL, from which Optuna's samplers learn nothing.
    One that names known recipes again and again, as where few of a finite space are left, is given one that is left.

    Attributes:
        optuna: the Optuna study, in memory.
    """

    def __init__(
        self,
        study: Study,
        fixed: FixedRecipes,
        planned: Callable[[Recipe], float] | None = None,
        past_trials: Sequence[PastTrial] = (),
    ) -> None:
        """Create a sampler that proposes first what the study wants first (`first`).

        Args:
            study: the study, from whose space it proposes.
            fixed: its fixed recipes.
            planned: returns the compute of a recipe; not used, since Optuna's samplers do not consider compute.
            past_trials: proposals of earlier runs from which it learns.
        """
        self._study, self._fixed, self._asks = study, fixed, Asks()
        self._first = list(study.first)
        self._base_metrics: Mapping[str, float] = {}
        self._outcomes: dict[str, Outcome] = {}  # by the recipe's id
        self._shared = IntersectionSearchSpace()
        self._asked: dict[int, optuna.Trial] = {}  # by number of the ask, until it is accepted or refused
        self._accepted: dict[str, optuna.Trial] = {}  # by the recipe's id, until it has ended
        self._known = {one.recipe.id for one in fixed}
        self._passed: set[str] = set()  # ids of the recipes that were refused since one was accepted
        directions = [OBJECTIVES[name] for name in study.objectives]
        self.optuna = optuna.create_study(
            directions=["maximize" if one == "max" else "minimize" for one in directions],
            sampler=optuna_sampler(study),
            storage=BoundedStorage(directions) if study.sampler.kind == "tpe" else None,
        )
        for past in past_trials:
            state = State(past["state"])
            self.optuna.add_trial(frozen_trial(past["params"], past["distributions"], state, past["values"] or []))

    def ask(self, search: SearchState) -> Candidate | None:
        number = self._asks.take()
        self.optuna.sampler = optuna_sampler(self._study, number, self._shared)
        given = self._next_first()
        if given is None and len(self._asks.refused) >= PATIENCE:
            given = self._left_over()
            if given is None and 0 < len(self._combinations) < LOOKED_AT:
                return None
        return self._ask(number, given)

    def accept(self, candidate: Candidate) -> None:
        self._accepted[candidate.recipe.id] = self._asked.pop(candidate.ask)
        self._known.add(candidate.recipe.id)
        self._passed.clear()
        self._asks.accept()

    def refuse(self, candidate: Candidate) -> None:
        self._asks.refuse(candidate)
        self._passed.add(candidate.recipe.id)
        self._tell(self._asked.pop(candidate.ask), self._outcomes.get(candidate.recipe.id))

    def forget(self, candidate: Candidate) -> None:
        self._known.discard(candidate.recipe.id)
        self._tell(self._accepted.pop(candidate.recipe.id), None)

    def restore(self, proposal: Proposal, *, has_ended: bool = False) -> Candidate:
        refused = self._asks.go_to(proposal.asked)
        if self._study.sampler.kind in REMEMBERING and proposal.asked is not None:
            return self._ask_again(proposal, len(refused))
        for params in refused:
            self._next_first()
            self.refuse(self._ask_for(params, self._asks.take()))
        self._next_first()
        candidate = self._ask_for(proposal.params, self._asks.take())
        candidate = replace(candidate, recipe=same_recipe(proposal, candidate.recipe))
        trial = self._asked[candidate.ask]
        for name, value in (proposal.asked.attributes if proposal.asked else {}).items():
            self.optuna._storage.set_trial_system_attr(trial._trial_id, name, value)
        self.accept(candidate)
        return candidate

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._outcomes[proposal.recipe.id] = outcome
        if proposal.recipe.id == self._fixed.base.recipe.id:
            self._base_metrics = outcome.metrics or {}
        trial = self._accepted.pop(proposal.recipe.id, None)
        if trial is not None:
            self._tell(trial, outcome)

    def _ask_again(self, proposal: Proposal, refused: int) -> Candidate:
        """Repeat the asks for a past proposal, those for refused candidates included.

        Optuna's storage then holds of these asks what it held in the search that was interrupted.
        """
        candidate = self.ask(NO_STATE)
        for _ in range(refused):
            assert candidate is not None  # of a space in which the proposal was left
            self.refuse(candidate)
            candidate = self.ask(NO_STATE)
        assert candidate is not None
        if candidate.recipe.id != proposal.recipe.id:  # another version of Optuna asks otherwise
            self.refuse(candidate)
            candidate = self._ask_for(proposal.params, candidate.ask)
            same_recipe(proposal, candidate.recipe)
        self.accept(candidate)
        return candidate

    def _ask_for(self, params: Mapping[str, Any], number: int) -> Candidate:
        """Ask for a candidate with parameters of the record. This needs no sampler, so Optuna's cheapest stands in."""
        self.optuna.sampler = optuna.samplers.RandomSampler(seed=0)
        return self._ask(number, params)

    def _tell(self, trial: optuna.Trial, outcome: Outcome | None) -> None:
        """Tell Optuna how a trial ended. An outcome of None is told as FAIL, from which its samplers learn nothing."""
        if outcome is None or outcome.metrics is None:
            self.optuna.tell(trial, state=TrialState.FAIL if outcome is None else _STATES[outcome.state])
            return
        if learnt_nothing(outcome.metrics) is not None:  # its robust accuracy means nothing, so it is as if it diverged
            self.optuna.tell(trial, state=TrialState.PRUNED)
            return
        for bound in self._study.constraints:
            trial.set_constraint(str(bound), bound.violation(outcome.metrics, self._base_metrics))
        self.optuna.tell(trial, [outcome.metrics[name] for name in self._study.objectives])

    def _ask(self, number: int, chosen: Mapping[str, Any] | None) -> Candidate:
        """Ask Optuna for a trial, in which the given parameters are chosen already, and make its candidate.

        What the trial holds is read from the storage: `params` and `distributions` of Optuna's own trial are deep
        copies, which took half of the time of a resumed search's replay.
        """
        if chosen is not None:
            self.optuna.enqueue_trial(dict(chosen))
        trial = self.optuna.ask()
        self._asked[number] = trial
        with warnings.catch_warnings():  # a range whose steps do not reach its end is cut for each trial anew
            warnings.filterwarnings("ignore", message=".*is not divisible by `step`", category=UserWarning)
            recipe = propose(trial, self._study, self._fixed)
        held = self.optuna._storage.get_trial(trial._trial_id)
        distributions = {name: distribution_to_json(one) for name, one in held.distributions.items()}
        attributes = {name: value for name, value in held.system_attrs.items() if name.startswith(TPE)}
        params = dict(held.params)
        return Candidate(recipe, params, distributions, number, refused=self._asks.refused, attributes=attributes)

    def _left_over(self) -> Mapping[str, Any] | None:
        """Return the first combination of a finite space that was neither proposed nor just refused, if any is left."""
        return next((params for id, params in self._combinations if id not in self._known | self._passed), None)

    @cached_property
    def _combinations(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Every combination of a finite space, with the id of its recipe; none of one that is endless, or too large."""
        if self._study.space is None or self._study.space.endless:
            return []
        chooser = partial(RandomChooser, np.random.default_rng(0))  # which draws nothing: all is given
        several = islice(combinations(self._study, self._fixed), LOOKED_AT)
        return [(propose(chooser(params), self._study, self._fixed).id, params) for params in several]

    def _next_first(self) -> Mapping[str, Any] | None:
        """Return the parameters that the study wants at this ask; None once all that it wants first was asked for."""
        return self._first.pop(0) if self._first else None
