"""Chooses proposals by their expected gain in hypervolume, weighed against their compute, which is known beforehand."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from analysis.run.trials import Estimates
from search.events import Outcome, Proposal, Row
from search.recipes.choosers import RandomChooser, completed
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.samplers.known_proposal import SCORE, KnownProposal, final_observation
from search.samplers.sampler import ASKS, Asks, Candidate, Sampler, SearchState, same_recipe
from search.samplers.warm_start import PastTrial
from search.study.constraints import Bound, eligible
from search.study.study import Study, compute_of
from search.surrogate.acquisition import decades, expected_hypervolume_improvement
from search.surrogate.gaussian_process import (
    FITTED,
    USED,
    Array,
    GaussianProcess,
    Observation,
    newest_and_spread,
    spread_evenly,
)
from search.surrogate.inputs import inputs_of
from search.surrogate.reference_point import ReferencePointTracker
from search.surrogate.starting_design import information
from search.surrogate.time_model import TimeModel
from trainables.errors import TemperError
from trainables.execution.ending import Ending, State
from trainables.recipe.recipe import Recipe

DRAWN = 160  # candidates that are drawn at random
NEAR = 40  # candidates that are a frontier proposal with one or two parameters drawn anew


class CostAwareSampler(Sampler):
    """Proposes, out of random candidates, the recipe with the largest expected gain in hypervolume for what it costs.

    Accuracy is modelled by a Gaussian process; compute is not modelled, since it is known. What a recipe costs is the
    largest share that it takes of any budget: of FLOPs, of hours by a model of the time, of trials one each. The gain
    is divided by cost^a, where a is the share of the budget that is left: cheap recipes come first, later those that
    gain most (cost cooling, arXiv 2003.10870). Before the model has enough to learn from, the gain is the
    information that it would learn. Running proposals count as predicted, so that others are sought elsewhere.
    """

    considers_compute = True
    models_scores = True

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
            planned: returns the FLOPs of a recipe's whole schedule, marginal or end-to-end as the study counts them.
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
        self._known: dict[Recipe, KnownProposal] = {}
        self._run_anyway = {one.recipe for one in fixed}  # a proposal may be the same as a baseline, if from scratch
        self._ended: list[KnownProposal] = []
        index = study.objectives.index(SCORE)
        self._past_trials = [
            final_observation(inputs_of(chooser, recipe), past["values"][index], study)
            for past in past_trials
            if past["values"]
            for recipe, chooser in [self._chosen(past["params"])]
        ]
        self._fitted: dict[str, tuple[int, GaussianProcess]] = {}
        self._leading: list[KnownProposal] = []  # the frontier of the first `_compared` that ended
        self._compared = 0

    def ask(self, search: SearchState) -> Candidate | None:
        number = self._asks.take()
        if self._first:
            seed = (ASKS * self._study.seed + number) % 2**32  # Optuna draws what is missing, and takes no larger one
            recipe, chooser = self._chosen(completed(self._first.pop(0), self._study, self._fixed, seed))
            return replace(self._candidate(recipe, chooser, number), distributions=chooser.distributions)
        rng = np.random.default_rng(ASKS * self._study.seed + number)
        front = self._front(search.base_metrics)
        drawn = self._candidates(rng, [one.candidate.params for one in front], search.is_lost, number)
        if not drawn:
            return None
        candidates = [candidate for candidate, _ in drawn]
        flops = np.array([max(1.0, one.flops) for one in candidates])
        gains, worth = self._expected(candidates, np.log10(flops), front, search.base_metrics), math.inf
        limits, seconds = search.limits, self._seconds(candidates, flops, search.base_metrics)
        prices = flops if limits is None else limits.prices(flops, seconds)
        if gains is None:
            gains = self._information(candidates)
        elif limits is not None:
            worth = float(np.max(gains / limits.shares(flops, seconds)))
        acquisition = np.log10(np.maximum(gains, 1e-300)) - search.budget_left * np.log10(prices)
        chosen, chooser = drawn[int(np.argmax(acquisition))]
        return replace(chosen, distributions=chooser.distributions, worth=worth)

    def accept(self, candidate: Candidate) -> None:
        self._known[candidate.recipe] = KnownProposal(candidate, decades(candidate.flops))
        self._asks.accept()

    def refuse(self, candidate: Candidate) -> None:
        """Note a refused candidate. Nothing is learnt from it, since it is a recipe that the study wanted first."""
        self._asks.refuse(candidate)

    def put_back(self) -> None:
        self._asks.put_back()

    def forget(self, candidate: Candidate) -> None:
        del self._known[candidate.recipe]

    def restore(self, proposal: Proposal) -> Candidate:
        refused = self._asks.go_to(proposal.asked)
        for _ in refused:
            self._asks.take()
        self._first = self._first[1 + len(refused) :]
        recipe, chooser = self._chosen(proposal.params)
        candidate = self._candidate(same_recipe(proposal, recipe), chooser, self._asks.take())
        self.accept(candidate)
        return candidate

    def reported(self, proposal: Proposal, row: Row, ending: Ending | None = None) -> None:
        self._reference_point.reported(proposal, row, ending)
        self._times.reported(proposal, row, ending)
        known = self._known.get(proposal.recipe)
        if known is not None and row.get(SCORE) is not None:
            known.scores[row["epoch"] / proposal.recipe.schedule.epochs] = float(row[SCORE])

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        """Note how a proposal ended. The model is not fitted to one that infrastructure ended (FAIL)."""
        self._reference_point.ended(proposal, outcome)
        self._times.ended(proposal, outcome)
        known = self._known.get(proposal.recipe)
        if known is None:
            return
        known.outcome = outcome
        if known.metrics:
            known.cost = decades(known.metrics[compute_of(self._study)])
        known.seen = self._seen(known)
        if outcome.state is not State.FAIL:
            self._ended.append(known)

    def _information(self, candidates: list[Candidate]) -> Array:
        """Return what the model would learn from each candidate once those that run have ended as well."""
        chosen = [one.features for one in self._past_trials]
        chosen += [one.features for one in self._known.values() if not one.is_lost]
        return information(chosen[-USED:], [one.features for one in candidates])

    def _seconds(self, candidates: list[Candidate], flops: Array, base: Mapping[str, float]) -> Array | None:
        """Return the time that each candidate is expected to keep a worker busy; None: not known yet."""
        before = base.get("end_to_end_flops", 0.0) if compute_of(self._study) == "end_to_end_flops" else 0.0
        epochs = np.array([one.recipe.schedule.epochs for one in candidates], dtype=np.float64)
        return self._times.seconds(epochs, np.maximum(flops - before, 0.0))

    def estimates(self) -> Estimates:
        """Return the model's mean and standard deviation of the final score of each proposal that finished."""
        finished = [one for one in self._ended if one.metrics]
        model = self._model(SCORE, self._seen, self._past_trials) if self._knows_enough and finished else None
        if model is None:
            return {}
        ranked = sorted(self._known.values(), key=lambda one: one.metrics.get(SCORE, 0.0))  # the last are all kept
        seen = [*self._past_trials, *(row for known in ranked for row in self._seen(known))]
        mean, deviation = model.predict(newest_and_spread(seen), [one.features for one in finished])
        return {
            one.candidate.recipe.id: {SCORE: float(np.clip(score, 0, 1)), f"{SCORE}_stderr": float(error)}
            for one, score, error in zip(finished, mean, deviation, strict=True)
        }

    @property
    def _knows_enough(self) -> bool:
        return len(self._ended) + len(self._past_trials) >= self._startup

    @property
    def _startup(self) -> int:
        return max(2, self._study.sampler.startup_trials)

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
            known = recipe in self._known or recipe in self._run_anyway or recipe in found
            if not known and not is_lost(recipe):
                found[recipe] = self._candidate(recipe, chooser, ask), chooser
        return list(found.values())

    def _candidate(self, recipe: Recipe, chooser: RandomChooser, ask: int) -> Candidate:
        """Make a candidate without its distributions: only the chosen one needs them, and writing them is slow."""
        flops = self._planned(recipe)
        return Candidate(recipe, chooser.params, {}, ask, inputs_of(chooser, recipe), flops, self._asks.refused)

    def _chosen(self, params: Mapping[str, Any]) -> tuple[Recipe, RandomChooser]:
        """Return the recipe that the given parameters make, with the chooser that chose them."""
        chooser = RandomChooser(np.random.default_rng(0), params)
        return propose(chooser, self._study, self._fixed), chooser

    def _expected(
        self, candidates: list[Candidate], costs: Array, front: list[KnownProposal], base: Mapping[str, float]
    ) -> Array | None:
        """Return each candidate's expected gain times its probability of feasibility; None if too little is known."""
        if not self._knows_enough:
            return None
        model = self._model(SCORE, self._seen, self._past_trials)
        if model is None:
            return None
        running = [one for one in self._known.values() if one.outcome is None]
        seen = [*self._past_trials, *(row for known in self._known.values() for row in self._seen(known))]
        features = [*(one.features for one in candidates), *(one.features for one in running)]
        mean, deviation = model.predict(newest_and_spread(seen), features)
        count = len(candidates)
        points = [(one.metrics[SCORE], one.cost) for one in front]
        points += [(score, one.cost) for score, one in zip(mean[count:], running, strict=True)]
        corner = self._reference_point.point(base[SCORE])
        if corner is None:
            return None
        best, reference = np.array(points).reshape(-1, 2), (float(corner[0]), float(corner[1]))
        gains = expected_hypervolume_improvement(mean[:count], deviation[:count], costs, best, reference)
        for bound in self._study.constraints:
            gains *= self._probability_of_feasibility(bound, candidates, base)
        return gains

    def _probability_of_feasibility(
        self, bound: Bound, candidates: list[Candidate], base: Mapping[str, float]
    ) -> Array:
        """Return the probability that each candidate satisfies a constraint."""
        from scipy.special import ndtr  # late: it is slow to import

        def rows(known: KnownProposal) -> list[Observation]:
            return [Observation(known.features, 1.0, -bound.violation(known.metrics, base))] if known.metrics else []

        model = self._model(str(bound), rows)
        if model is None:
            return np.ones(len(candidates))
        seen = [row for known in self._ended for row in rows(known)]
        mean, deviation = model.predict(newest_and_spread(seen), [one.features for one in candidates])
        return np.asarray(ndtr(mean / deviation))

    def _model(
        self, name: str, rows: Callable[[KnownProposal], list[Observation]], past_trials: Sequence[Observation] = ()
    ) -> GaussianProcess | None:
        """Return a model, fitted anew each time that a fifth more proposals have ended; None if too little is known."""
        count = 0 if past_trials else min(self._startup, len(self._ended))
        while (more := max(count + 1, math.floor(1.2 * count))) <= len(self._ended):
            count = more
        if name not in self._fitted or self._fitted[name][0] != count:
            seen = [*past_trials, *(row for known in self._ended[:count] for row in rows(known))]
            if len(seen) < 2:
                return None
            self._fitted[name] = count, GaussianProcess(spread_evenly(seen, FITTED))
        return self._fitted[name][1]

    def _seen(self, known: KnownProposal) -> list[Observation]:
        return known.observations(self._study)

    def _front(self, base: Mapping[str, float]) -> list[KnownProposal]:
        """Return the non-dominated proposals that finished and may be on the frontier, cheapest first.

        What is dominated stays so, since the base's numbers do not change, so only the newest ones are compared.
        """
        front: list[KnownProposal] = []
        for one in sorted(
            [*self._leading, *self._ended[self._compared :]], key=lambda one: (one.cost, -one.metrics.get(SCORE, 0.0))
        ):
            kept = bool(one.metrics) and eligible(self._study.constraints, one.metrics, base)
            if kept and (not front or one.metrics[SCORE] > front[-1].metrics[SCORE]):
                front.append(one)
        self._leading, self._compared = front, len(self._ended)
        return front
