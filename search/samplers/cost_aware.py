"""Chooses proposals by their expected gain in hypervolume, weighed against their compute, which is known beforehand."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.run.trials import Estimates
from search.events import Outcome, Proposal, Row
from search.gain.axes import SCORE, axes_of
from search.gain.expected_gain import Candidates, ExpectedGain
from search.gain.models import Models, observed
from search.gain.proposals_so_far import KnownProposal, ProposalsSoFar
from search.gain.reference_point import ReferencePointTracker
from search.recipes.choosers import RandomChooser, combinations, completed
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.samplers.sampler import ASKS, Asks, Candidate, Sampler, SearchState, same_recipe
from search.samplers.warm_start import PastTrial
from search.study.study import Study, compute_of
from search.surrogate.cost_model import OWN_FLOPS
from search.surrogate.gaussian_process import USED, Array, Observation
from search.surrogate.inputs import inputs_of
from search.surrogate.starting_design import information
from search.surrogate.time_model import TimeModel
from trainables.errors import TemperError
from trainables.execution.ending import Ending
from trainables.recipe.recipe import Recipe

DRAWN = 160  # candidates that are drawn at random
NEAR = 40  # candidates that are a frontier proposal with one or two parameters drawn anew


class CostAwareSampler(Sampler):
    """Proposes, out of random candidates, the recipe with the largest expected gain in hypervolume for what it costs.

    Accuracy is modelled by a Gaussian process; compute and sizes are not modelled, since they are known, see
    `search.gain.axes`. What a recipe costs is the largest share that it takes of any budget: of FLOPs, of hours by a
    model of the time, of trials one each. The gain is divided by cost^a, where a is the share of the budget that is
    left: cheap recipes come first, later those that gain most (cost cooling, arXiv 2003.10870). Before the models have
    enough to learn from, the gain is the information that they would learn.
    """

    considers_compute = True
    models_scores = True

    def __init__(
        self,
        study: Study,
        fixed: FixedRecipes,
        planned: Callable[[Recipe], Mapping[str, float]] | None = None,
        past_trials: Sequence[PastTrial] = (),
    ) -> None:
        """Create a sampler that proposes first what the study wants first (`first`).

        Args:
            study: the study, from whose space it proposes.
            fixed: its fixed recipes.
            planned: returns the metrics of a recipe that follow from it before it runs: its compute, marginal or
                end-to-end as the study counts it, what else of its objectives is foreseen, and what it will spend
                itself (`OWN_FLOPS`; without that, its compute stands for it).
            past_trials: proposals of earlier runs, from whose scores it learns; they may be proposed again.

        Raises:
            TemperError: `planned` is missing.
        """
        if planned is None:
            raise TemperError("a cost-aware sampler must be told what recipes cost")
        self._study, self._fixed, self._planned = study, fixed, planned
        self._reference_point = ReferencePointTracker(study, fixed, planned)
        self._times = TimeModel()
        self._asks, self._first = Asks(), list(study.first)
        self._run_anyway = {one.recipe for one in fixed}  # a proposal may be the same as a baseline, if from scratch
        self._past = self._observed(past_trials)
        self._so_far = ProposalsSoFar(study)
        self._models = Models(study, self._so_far, self._past)
        self._gain = ExpectedGain(study, self._reference_point, self._so_far, self._models)

    def ask(self, search: SearchState) -> Candidate | None:
        number = self._asks.take()
        if self._first:
            seed = (ASKS * self._study.seed + number) % 2**32  # Optuna draws what is missing, and takes no larger one
            recipe, chooser = self._chosen(completed(self._first.pop(0), self._study, self._fixed, seed))
            return replace(self._candidate(recipe, chooser, number), distributions=chooser.distributions)
        rng = np.random.default_rng(ASKS * self._study.seed + number)
        best = [one.params for one in self._so_far.frontier(search.base_metrics)]
        drawn = self._candidates(rng, best, search.is_lost, number)
        if not drawn:
            return None
        candidates, worth = [candidate for candidate, _ in drawn], math.inf
        flops = np.array([max(1.0, one.flops) for one in candidates])
        limits = search.limits
        timed = limits is not None and "hours" in limits.left
        epochs = np.array([one.recipe.schedule.epochs for one in candidates], dtype=np.float64)
        seconds = self._times.seconds(epochs, flops) if timed else None  # None: not known yet
        prices = flops if limits is None else limits.prices(flops, seconds)
        features = [one.features for one in candidates]
        costs = np.array([self._costs(one) for one in candidates])
        expected = self._gain.expected_gains(Candidates(features, costs), search.base_metrics)
        gains = self._information(features) if expected is None else expected[0]
        if expected is not None and limits is not None and expected[1] > 0:
            worth = float(np.max(gains / limits.shares(flops, seconds))) / expected[1]
        acquisition = np.log10(np.maximum(gains, 1e-300)) - search.budget_left * np.log10(prices)
        chosen, chooser = drawn[int(np.argmax(acquisition))]
        return replace(chosen, distributions=chooser.distributions, worth=worth)

    def accept(self, candidate: Candidate) -> None:
        self._know(candidate, self._costs(candidate))

    def refuse(self, candidate: Candidate) -> None:
        """Note a refused candidate. Nothing is learnt from it, since it is a recipe that the study wanted first."""
        self._asks.refuse(candidate)

    def put_back(self) -> None:
        self._asks.put_back()

    def forget(self, candidate: Candidate) -> None:
        del self._so_far.known[candidate.recipe]

    def restore(self, proposal: Proposal, *, has_ended: bool = False) -> Candidate:
        """Repeat a past ask. What has ended is not planned: for ten thousand that takes as long as all else of them."""
        refused = self._asks.go_to(proposal.asked)
        for _ in refused:
            self._asks.take()
        self._first = self._first[1 + len(refused) :]
        recipe, chooser = self._chosen(proposal.params)
        recipe, number = same_recipe(proposal, recipe), self._asks.take()
        if has_ended:
            candidate = Candidate(recipe, chooser.params, {}, number, inputs_of(chooser, recipe))
            self._know(candidate, np.full(len(self._so_far.axes), math.nan))
        else:
            candidate = self._candidate(recipe, chooser, number)
            self.accept(candidate)
        return candidate

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        self._reference_point.reported(proposal, row, ending)
        self._times.reported(proposal, row, ending)
        known = self._so_far.known.get(proposal.recipe)
        if known is not None and row.get(SCORE) is not None:
            known.scores[row["epoch"] / proposal.recipe.schedule.epochs] = float(row[SCORE])

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """Note how a proposal ended. The models are not fitted to one that infrastructure ended (FAIL)."""
        self._reference_point.ended(proposal, outcome)
        self._times.ended(proposal, outcome)
        known = self._so_far.known.get(proposal.recipe)
        if known is not None:
            self._so_far.end(known, outcome)

    def _know(self, candidate: Candidate, costs: Array) -> None:
        known = KnownProposal(candidate.recipe, candidate.params, candidate.features, costs)
        self._so_far.known[candidate.recipe] = known
        self._asks.accept()

    def estimates(self) -> Estimates:
        return self._models.estimates()

    def _observed(self, past_trials: Sequence[PastTrial]) -> dict[str, list[Observation]]:
        """Return what earlier runs tell of the objectives that are modelled, by their metrics."""
        found: dict[str, list[Observation]] = {}
        for past in past_trials:
            if past["values"]:
                recipe, chooser = self._chosen(past["params"])
                features, metrics = (
                    inputs_of(chooser, recipe),
                    dict(zip(self._study.objectives, past["values"], strict=True)),
                )
                for axis in axes_of(self._study):
                    if not axis.is_foreseen:
                        observation = observed(axis, features, metrics, self._study)
                        found.setdefault(axis.metric, []).append(observation)
        return found

    def _information(self, features: Sequence[Mapping[str, float]]) -> Array:
        """Return what the models would learn from each candidate once those that run have ended as well."""
        chosen = [one.features for one in self._past.get(SCORE, ())]
        chosen += [one.features for one in self._so_far.known.values() if not one.is_lost]
        return information(chosen[-USED:], features)

    def _candidates(
        self,
        rng: np.random.Generator,
        best: Sequence[Mapping[str, Any]],
        is_lost: Callable[[Recipe], bool],
        ask: int,
    ) -> list[tuple[Candidate, RandomChooser]]:
        """Draw recipes that were not proposed yet: random ones, and the best with one or two parameters drawn anew."""
        found: dict[Recipe, tuple[Candidate, RandomChooser]] = {}
        for number in range(DRAWN + NEAR):
            kept: dict[str, Any] = {}
            if number >= DRAWN and best:
                kept = dict(best[int(rng.integers(len(best)))])
                for name in rng.permutation(sorted(kept))[: int(rng.integers(1, 3))]:
                    del kept[str(name)]
            chooser = RandomChooser(rng, kept)
            recipe = propose(chooser, self._study, self._fixed)
            known = recipe in self._so_far.known or recipe in self._run_anyway or recipe in found
            if not known and not is_lost(recipe):
                found[recipe] = self._candidate(recipe, chooser, ask), chooser
        return list(found.values()) or self._last_ones(is_lost, ask)

    def _last_ones(self, is_lost: Callable[[Recipe], bool], ask: int) -> list[tuple[Candidate, RandomChooser]]:
        """Return recipes of a finite space that were not proposed, where so few are left that none was drawn."""
        if self._study.space is None or self._study.space.endless:
            return []
        found: dict[Recipe, tuple[Candidate, RandomChooser]] = {}
        for params in combinations(self._study, self._fixed):
            recipe, chooser = self._chosen(params)
            if recipe not in self._so_far.known and recipe not in self._run_anyway and not is_lost(recipe):
                found[recipe] = self._candidate(recipe, chooser, ask), chooser
            if len(found) == NEAR:
                break
        return list(found.values())

    def _candidate(self, recipe: Recipe, chooser: RandomChooser, ask: int) -> Candidate:
        """Make a candidate without its distributions: only the chosen one needs them, and writing them is slow."""
        planned = self._planned(recipe)
        flops, features = planned.get(OWN_FLOPS, planned[compute_of(self._study)]), inputs_of(chooser, recipe)
        return Candidate(recipe, chooser.params, {}, ask, features, flops, self._asks.refused, planned=planned)

    def _costs(self, candidate: Candidate) -> Array:
        """Return `(axes,)` a candidate's objectives as costs; NaN for those that are modelled."""
        planned = candidate.planned
        return np.array([one.cost(planned[one.metric]) if one.is_foreseen else math.nan for one in self._so_far.axes])

    def _chosen(self, params: Mapping[str, Any]) -> tuple[Recipe, RandomChooser]:
        """Return the recipe that the given parameters make, with the chooser that chose them."""
        chooser = RandomChooser(np.random.default_rng(0), params)
        return propose(chooser, self._study, self._fixed), chooser
