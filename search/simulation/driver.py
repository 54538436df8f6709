"""Simulates a search by discrete events: recorded curves drive the real searcher and scheduler on a virtual cluster.

The driver does for each trial what Ray Tune's controller does, in the same order; only time is virtual. It takes one
decision after another, and a worker waits for the answer to each of its reports.
"""

import heapq
import itertools
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from ray.tune.search import Searcher

from analysis.pareto.hypervolume import hypervolume, log_compute
from search.events import Listener, Outcome, Proposal
from search.halving.judge import Judge
from search.halving.scheduler import ParetoHalving
from search.recipes.fixed import FixedRecipes
from search.running.searcher import ParetoSearcher
from search.samplers.sampler import sampler_of
from search.simulation.recording import Curve
from search.simulation.virtual_cluster import Stopper, VirtualCluster, VirtualTrial
from search.study.constraints import eligible
from search.study.study import Study, compute_of
from trainables.errors import TemperError
from trainables.evaluation.metrics import FORESEEN
from trainables.recipe.recipe import Recipe


@dataclass(frozen=True)
class Ended:
    """The end of one trial in a simulated search.

    Attributes:
        proposal: the trial's proposal.
        outcome: its result.
        seconds: virtual time when it ended, s.
        flops: marginal FLOPs of all proposals until then, those of stopped trials and of lost epochs included.
    """

    proposal: Proposal
    outcome: Outcome
    seconds: float
    flops: float


@dataclass(frozen=True)
class Simulated:
    """The result of a simulated search.

    Attributes:
        endings: the trials that ended, in their order.
        seconds: virtual seconds until nothing ran and the driver had taken its last decision.
        utilisation: share of the workers' time in which they computed, 0–1, from the start of the first proposal to the
            start of the last. Time for which a worker was down does not count. NaN if nothing was proposed.
        decisions: number of the driver's decisions: its suggestions, and its answers to reports.
        deciding: virtual seconds that the decisions took.
        trial_seconds: mean virtual seconds of the proposals' trials, as far as they went.
    """

    endings: tuple[Ended, ...]
    seconds: float
    utilisation: float
    decisions: int
    deciding: float
    trial_seconds: float


def simulate(
    study: Study,
    curves: Mapping[Recipe, Curve],
    cluster: VirtualCluster,
    stopper: Stopper | None = None,
    listeners: Sequence[Listener] = (),
) -> Simulated:
    """Run a study on a virtual cluster.

    Args:
        study: the study, which may search in another way than the recorded one, over the same space.
        curves: the curve of every recipe that it may run, see `Recording.of`.
        cluster: the virtual workers.
        stopper: the Tune scheduler; None: the one that the study names.
        listeners: are told of each event of the search.

    Raises:
        TemperError: a recipe was proposed that was not recorded.
    """
    if stopper is None:
        judge = Judge.of(study, FixedRecipes.of(study))
        stopper, listeners = ParetoHalving(judge), [*listeners, *([] if judge is None else [judge])]
    return _Driver(study, curves, cluster, stopper, listeners).run()


class _Driver(Listener):
    """Stands in for Tune's controller. Its events are tuples (time, order, what, worker)."""

    def __init__(
        self,
        study: Study,
        curves: Mapping[Recipe, Curve],
        cluster: VirtualCluster,
        stopper: Stopper,
        listeners: Sequence[Listener],
    ) -> None:
        self._study, self._curves, self._cluster, self._stopper = study, curves, cluster, stopper
        self._now, self._decisions, self._deciding, self._flops = 0.0, 0, 0.0, 0.0
        fixed = FixedRecipes.of(study)
        sampler = sampler_of(study, fixed, partial(_foreseen, study, fixed, curves))
        self._searcher = ParetoSearcher(
            study,
            fixed,
            sampler,
            [self, *listeners],
            stopper.failures.get,
            stopper.stops.get,
            clock=lambda: self._now,
        )
        self._rng = np.random.default_rng(cluster.seed)
        self._order, self._ids = itertools.count(), itertools.count()
        self._events: list[tuple[float, int, str, int]] = []
        self._idle = deque(range(cluster.workers))
        self._running: dict[int, tuple[VirtualTrial, float]] = {}
        self._lost: deque[VirtualTrial] = deque()
        self._recipes: dict[str, Recipe] = {}
        self._endings: list[Ended] = []
        self._busy: list[tuple[float, float]] = []
        self._down: list[tuple[float, float]] = []
        self._starts: list[float] = []
        self._lengths: list[float] = []

    def run(self) -> Simulated:
        """Run the search until nothing runs and nothing is left to start."""
        waiting = finished = False
        while True:
            if self._events and self._events[0][0] <= self._now:
                ended, _, what, worker = heapq.heappop(self._events)
                self._handle(what, worker, ended)
                waiting = False
            elif self._idle and self._lost:
                self._begin(self._idle.popleft(), self._lost.popleft(), anew=True)
            elif self._idle and not waiting and not finished:
                suggestion = self._ask()
                waiting, finished = suggestion is None, suggestion == Searcher.FINISHED
            elif self._running or self._lost or not (self._idle or finished):
                self._now = self._events[0][0]
            else:
                return self._result()

    def proposed(self, proposal: Proposal) -> None:
        self._recipes[proposal.recipe.id] = proposal.recipe

    def ended(self, proposal: Proposal, outcome: Outcome) -> None:
        self._endings.append(Ended(proposal, outcome, self._now, self._flops))

    def _ask(self) -> dict[str, Any] | str | None:
        """Ask the searcher for a trial, and start it if there is one."""
        trial_id = str(next(self._ids))
        suggestion: dict[str, Any] | str | None = self._decide(self._searcher.suggest, trial_id)
        if isinstance(suggestion, dict):
            curve = _curve_of(self._curves, self._recipes[suggestion["id"]])
            trial = VirtualTrial(trial_id, suggestion, curve)
            self._decide(self._stopper.on_trial_add, None, trial)
            self._begin(self._idle.popleft(), trial, anew=True)
            if suggestion["role"] == "proposed":
                self._starts.append(self._now)
        return suggestion

    def _begin(self, worker: int, trial: VirtualTrial, *, anew: bool) -> None:
        """Start the trial's next epoch on a worker; `anew`: in a new process, which has to prepare the trial first.

        Failures of a worker are exponentially distributed, so drawing them anew for each epoch changes nothing.
        """
        seconds = float(trial.row["seconds"]) + (trial.curve.preparation if anew else 0.0)
        left = seconds * self._cluster.stretch / self._cluster.speed(worker)
        fails = np.inf if self._cluster.failures is None else self._rng.exponential(self._cluster.failures)
        self._running[worker] = trial, self._now
        self._later(self._now + min(left, fails), "failed" if fails < left else "epoch", worker)

    def _handle(self, what: str, worker: int, ended: float) -> None:
        """Handle an event of a worker, which may have happened a while ago, since the driver was busy."""
        if what == "repaired":
            self._idle.append(worker)
            return
        trial, begun = self._running.pop(worker)
        self._busy.append((begun, ended))
        trial.busy += ended - begun
        if trial.config["role"] == "proposed":
            self._flops += trial.flops
        if what == "failed":
            self._down.append((ended, ended + self._cluster.repair))
            self._later(ended + self._cluster.repair, "repaired", worker)
            self._lose(trial)
        elif self._report(trial):
            trial.epoch += 1
            self._begin(worker, trial, anew=False)
        else:
            self._lengths += [trial.busy] if trial.config["role"] == "proposed" else []
            self._idle.append(worker)

    def _report(self, trial: VirtualTrial) -> bool:
        """Report an epoch of a trial to scheduler and searcher, and return whether the trial goes on."""
        result = trial.result()
        if not trial.is_last:
            answer = self._decide(self._stopper.on_trial_result, None, trial, result)
            if answer != "STOP":
                self._decide(self._searcher.on_trial_result, trial.trial_id, result)
                return True
        self._decide(self._stopper.on_trial_complete, None, trial, result)
        self._decide(self._searcher.on_trial_complete, trial.trial_id, result)
        return False

    def _lose(self, trial: VirtualTrial) -> None:
        trial.lost += 1
        if trial.lost <= self._study.budget.retries:
            self._lost.append(trial)
            return
        self._decide(self._stopper.on_trial_error, None, trial)
        self._decide(self._searcher.on_trial_complete, trial.trial_id, None, True)

    def _decide(self, decision: Callable[..., Any], *arguments: Any) -> Any:
        """Take a decision, and let the virtual time pass that it takes."""
        begun = time.perf_counter()
        answer = decision(*arguments)
        taken = time.perf_counter() - begun if self._cluster.decision is None else self._cluster.decision
        self._now += taken
        self._deciding += taken
        self._decisions += 1
        return answer

    def _later(self, seconds: float, what: str, worker: int) -> None:
        heapq.heappush(self._events, (seconds, next(self._order), what, worker))

    def _result(self) -> Simulated:
        return Simulated(
            endings=tuple(self._endings),
            seconds=self._now,
            utilisation=self._utilisation(),
            decisions=self._decisions,
            deciding=self._deciding,
            trial_seconds=float(np.mean(self._lengths)) if self._lengths else 0.0,
        )

    def _utilisation(self) -> float:
        if not self._starts:
            return float("nan")
        first, last = self._starts[0], self._starts[-1]
        busy, down = (
            sum(max(0.0, min(end, last) - max(start, first)) for start, end in spans)
            for spans in (self._busy, self._down)
        )
        return busy / (self._cluster.workers * (last - first) - down) if last > first else float("nan")


def _foreseen(study: Study, fixed: FixedRecipes, curves: Mapping[Recipe, Curve], recipe: Recipe) -> dict[str, float]:
    """Return what of a recorded recipe's metrics the sampler would have been told before the recipe ran."""
    wanted = {compute_of(study), *study.objectives} & set(FORESEEN)
    return _curve_of(curves, recipe).foreseen(wanted, curves[fixed.reference.recipe].metrics)


def _curve_of(curves: Mapping[Recipe, Curve], recipe: Recipe) -> Curve:
    if recipe not in curves:
        raise TemperError(f"recipe {recipe.id}: was not recorded, so it cannot be simulated")
    return curves[recipe]


def trace(simulated: Simulated, study: Study, curves: Mapping[Recipe, Curve]) -> pd.DataFrame:
    """Return how the proposals' hypervolume grew: one row for each proposal that ended, in their order.

    It is the hypervolume of `analysis.pareto.growth.hypervolume_history`, except that its reference point is known
    from the start here.

    Returns:
        Columns seconds and flops (float64, both counted from the start) and hypervolume (float64).

    Raises:
        TemperError: the reference spent no compute, so there is no hypervolume.
    """
    compute = compute_of(study)
    fixed = FixedRecipes.of(study)
    base, reference = curves[fixed.base.recipe].metrics, curves[fixed.reference.recipe].metrics
    robust = {"reference": reference["robust_accuracy"], "base": base["robust_accuracy"]}
    point = study.reference_point.point(**robust, compute=reference[compute])
    if point is None:
        raise TemperError(f"{study.name}: its reference spent no compute, so there is no hypervolume")
    rows, plane, area = [], list[tuple[float, float]](), 0.0
    for ending in simulated.endings:
        if ending.proposal.role != "proposed":
            continue
        metrics = ending.outcome.metrics
        if metrics is not None and eligible(study.constraints, metrics, base):
            plane.append((metrics["robust_accuracy"], log_compute(metrics[compute])))
            area = hypervolume(np.array(plane), point)
        rows.append((ending.seconds, ending.flops, area))
    return pd.DataFrame(rows, columns=["seconds", "flops", "hypervolume"]).astype("float64")
