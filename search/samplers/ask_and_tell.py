"""The Optuna side of a search: asks for recipes and tells what became of them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.search_space import IntersectionSearchSpace
from optuna.trial import TrialState

from analysis.run.trials import State
from search.events import Outcome, Proposal
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.samplers.bounded_storage import Recent
from search.samplers.cost_aware import Advisor
from search.samplers.optuna_samplers import ASKS, sampler_of
from search.samplers.optuna_trials import frozen_trial
from search.samplers.warm_start import Lesson
from search.study.study import Study
from trainables.errors import TemperError
from trainables.evaluation.metrics import OBJECTIVES
from trainables.recipe.recipe import Recipe

MOST_ASKS = 64  # numbers of asks that each proposal has to itself; more than may be refused in a row


class Proposer:
    """Proposes recipes that start from the base.

    What it proposes is a function of the proposals so far and of what was told of them.

    Attributes:
        optuna: the Optuna study, in memory.
    """

    def __init__(
        self,
        study: Study,
        fixed: FixedRecipes,
        learnt: Sequence[Lesson] = (),
        planned: Callable[[Recipe], float] | None = None,
    ) -> None:
        """Take a study, and what earlier runs teach; what the study wants first is asked for first.

        Args:
            study: whose space to propose from.
            fixed: its fixed recipes.
            learnt: what earlier runs teach.
            planned: the compute of a recipe, for the sampler that takes it into account.
        """
        self._advisor: Advisor | None = None
        if study.sampler.kind == "cost_aware":
            if planned is None:
                raise TemperError("a cost-aware sampler must be told what recipes cost")
            self._advisor = Advisor(study, fixed, planned, learnt)
        self._study, self._fixed, self._first, self._asks = study, fixed, list(study.first), 0
        directions = [OBJECTIVES[name] for name in study.objectives]
        self.optuna = optuna.create_study(
            directions=["maximize" if one == "max" else "minimize" for one in directions],
            sampler=sampler_of(study),
            storage=Recent(directions) if study.sampler.kind == "tpe" else None,
        )
        self._shared = IntersectionSearchSpace()
        for lesson in learnt:
            state = State(lesson["state"])
            self.optuna.add_trial(
                frozen_trial(lesson["params"], lesson["distributions"], state, lesson["values"] or [])
            )

    def ask(
        self, left: float, base: Mapping[str, float], is_lost: Callable[[Recipe], bool] = lambda recipe: False
    ) -> tuple[Recipe, optuna.Trial]:
        """A recipe, by a sampler seeded by how many were accepted and how many were asked for since.

        Args:
            left: share of the budget that is left, 0–1.
            base: the ordinary base's final numbers.
            is_lost: whether a recipe can never run; a sampler that does not heed it may be refused.
        """
        if self._first:
            self.optuna.enqueue_trial(self._first.pop(0))
        elif self._advisor is not None:
            chosen = self._advisor.choose(ASKS * self._study.seed + self._asks, left, base, is_lost)
            if chosen is not None:
                self.optuna.enqueue_trial(chosen)
        self.optuna.sampler = sampler_of(self._study, self._asks, self._shared)
        self._asks += 1
        trial = self.optuna.ask()
        return propose(trial, self._study, self._fixed), trial

    def accept(self, recipe: Recipe, trial: optuna.Trial) -> None:
        """What was asked for last becomes a proposal."""
        if self._advisor is not None:
            self._advisor.proposed(recipe, trial.params)
        self._asks = self._asks // MOST_ASKS * MOST_ASKS + MOST_ASKS

    def again(self, proposal: Proposal) -> optuna.Trial:
        """Ask for a proposal of the record once more, and accept it."""
        self._first = self._first[1:]
        self.optuna.enqueue_trial(proposal.params)
        trial = self.optuna.ask()
        if propose(trial, self._study, self._fixed).id != proposal.recipe.id:
            raise TemperError(f"recipe {proposal.recipe.id}: its parameters make another recipe now")
        self.accept(proposal.recipe, trial)
        return trial

    def reported(self, proposal: Proposal, row: Mapping[str, Any]) -> None:
        """A proposal has finished an epoch."""
        if self._advisor is not None:
            self._advisor.reported(proposal.recipe, row)

    def tell(self, trial: optuna.Trial, outcome: Outcome, base: Mapping[str, float]) -> None:
        """What became of a recipe; `base` is the ordinary base's final numbers, for constraints relative to them."""
        if outcome.state is State.COMPLETE and outcome.metrics is not None:
            for bound in self._study.constraints:
                trial.set_constraint(str(bound), bound.violation(outcome.metrics, base))
            self.optuna.tell(trial, [outcome.metrics[name] for name in self._study.objectives])
        else:
            state = TrialState.PRUNED if outcome.state is State.PRUNED else TrialState.FAIL
            self.optuna.tell(trial, state=state)

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """A proposal has ended."""
        if self._advisor is not None:
            self._advisor.ended(proposal.recipe, outcome)

    def forget(self, trial: optuna.Trial) -> None:
        """It will not run, and nothing was learnt of it."""
        self.optuna.tell(trial, state=TrialState.FAIL)
