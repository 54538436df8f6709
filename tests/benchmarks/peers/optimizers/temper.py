"""Temper's cost-aware sampler: on a recording in the product's own simulation, on any other table asked and told.

The sampler proposes recipes of a study's space, which an outside table has none of. So there its function that makes a
recipe from chosen parameters is replaced by one that chooses the table's parameters and names a row; all else, from the
candidates to the acquisition, is the product's.
"""

import json
from dataclasses import dataclass
from typing import Any, ClassVar, cast
from unittest.mock import patch

from cluster.connection.session import prepare_environment

prepare_environment(None)  # before anything imports Ray, hence the imports below

import search.samplers.cost_aware as product  # noqa: E402  # as above
from analysis.pareto.reference_point import Limit, ReferencePoint  # noqa: E402
from search.events import Outcome, Proposal  # noqa: E402
from search.gain.axes import SCORE  # noqa: E402
from search.recipes.choosers import RandomChooser  # noqa: E402
from search.recipes.fixed import FixedRecipes  # noqa: E402
from search.samplers.limits import Limits  # noqa: E402
from search.samplers.sampler import Candidate, SearchState  # noqa: E402
from search.simulation.driver import simulate  # noqa: E402
from search.simulation.virtual_cluster import VirtualCluster  # noqa: E402
from search.study.algorithms import Budget as SearchBudget  # noqa: E402
from search.study.algorithms import Currency, Sampler  # noqa: E402
from search.study.study import Study  # noqa: E402
from tests.benchmarks.peers.accounting import Step  # noqa: E402
from tests.benchmarks.peers.optimizers.peer import Budget, Left, Peer, Result, Suggestion, Task  # noqa: E402
from tests.benchmarks.peers.tables.recordings import recording_of  # noqa: E402
from tests.benchmarks.peers.tables.table import Table  # noqa: E402
from trainables.execution.ending import Ending, EndKind  # noqa: E402
from trainables.recipe.recipe import Recipe  # noqa: E402
from trainables.recipe.schedule import Schedule  # noqa: E402

KIND, COMPUTE = "cost_aware", "train_flops"
STUDY = "digits"  # a recording whose study stands in on outside tables; none of its own settings matters there


def simulated(source: str, table: Table, budget: Budget, seed: int) -> list[Step]:
    """Run the product's simulation of a recorded search, on one worker, and return what it did.

    Args:
        source: the recording's name or path.
        table: the table that was made of it.
        budget: what the search may spend.
        seed: of the search.
    """
    recording = recording_of(source)
    spendable = SearchBudget(trials=budget.trials, flops=budget.spent)
    changed = {"seed": seed, "sampler": Sampler(kind=KIND), "budget": spendable, "halving": None}
    study = recording.study.model_copy(update=changed)
    curves = recording.of(study)
    done = simulate(study, curves, VirtualCluster(workers=1, decision=0.0))
    proposals = [curve for key, curve in recording.curves.items() if key.startswith("{")]
    numbers = {id(curve): number for number, curve in enumerate(proposals)}  # in the order of the table's entries
    ran = [numbers[id(curves[ending.proposal.recipe])] for ending in done.endings if ending.proposal.role == "proposed"]
    return [Step(number, 1.0, table.entries[number].spent[-1], finished=True) for number in ran]


@dataclass(frozen=True)
class TableRecipe:
    """Stands in for a recipe of the product.

    Attributes:
        id: what distinguishes it from others.
        entry: number of the table's recipe; None where the table has none of these parameters.
        schedule: its schedule; tables do not say more of it than that there is one.
    """

    id: str
    entry: int | None
    schedule: ClassVar[Schedule] = Schedule(epochs=1, learning_rate=1.0)


def cost_aware(task: Task) -> Peer:
    """Make the sampler for a table that is no recording of Temper's."""
    return _CostAware(task)


class _CostAware:
    def __init__(self, task: Task) -> None:
        self._task = task
        self._entries = {_key(params): number for number, params in enumerate(task.params)}
        self._study = _study(task)
        fixed = FixedRecipes.of(self._study)
        self._sampler = product.CostAwareSampler(self._study, fixed, self._planned)
        self._candidate: Candidate | None = None
        self._number = 0

    def ask(self, left: Left) -> Suggestion:
        with patch.object(product, "propose", self._propose):
            candidate = self._sampler.ask(self._state(left))
        assert candidate is not None, "a recipe is left"
        self._sampler.accept(candidate)
        self._candidate = candidate
        entry = _entry(candidate.recipe)
        assert entry is not None, "what the table does not have counts as lost"
        return Suggestion(self._task.params[entry])

    def tell(self, result: Result) -> None:
        candidate = self._candidate
        assert candidate is not None
        assert result.entry == _entry(candidate.recipe), "the sampler proposes no recipe twice"
        proposal = Proposal(candidate.recipe, "proposed", None, self._number, candidate.params)
        self._number += 1
        self._sampler.proposed(proposal)
        metrics = {SCORE: result.score, COMPUTE: 10.0**result.decades}
        self._sampler.ended(proposal, Outcome(Ending(EndKind.FINISHED), metrics, 0.0))

    def _state(self, left: Left) -> SearchState:
        """What the product's searcher would tell the sampler of the search."""
        base = {SCORE: self._task.point[0]}
        whole: dict[Currency, float] = {"trials": left.budget.trials}
        remaining: dict[Currency, float] = {"trials": left.trials}
        if left.budget.spent is not None and left.spent is not None:
            whole["flops"], remaining["flops"] = left.budget.spent, left.spent
        limits = Limits(whole, remaining)
        return SearchState(limits.share_left, base, lambda recipe: _entry(recipe) is None, limits)

    def _propose(self, chooser: RandomChooser, study: Study, fixed: FixedRecipes) -> TableRecipe:
        params: dict[str, Any] = {}
        for one in self._task.parameters:
            if one.is_active(params):
                params[one.name] = chooser.suggest_categorical(one.name, one.choices)
        key = _key(params)
        return TableRecipe(key, self._entries.get(key))

    def _planned(self, recipe: Recipe | TableRecipe) -> dict[str, float]:
        """What a row is expected to cost; for the stand-in study's own reference anything, as its point is given."""
        if not isinstance(recipe, TableRecipe) or recipe.entry is None:
            return {COMPUTE: 1.0}
        return {COMPUTE: float(10.0 ** self._task.costs.decades()[recipe.entry])}


def _entry(recipe: object) -> int | None:
    return cast(TableRecipe, recipe).entry


def _key(params: Any) -> str:
    return json.dumps(dict(params), sort_keys=True)


def _study(task: Task) -> Study:
    """A study that searches as the product would: its settings, with the table's reference point in numbers."""
    point = ReferencePoint(robust_accuracy=(Limit(value=task.point[0]),), compute=Limit(value=10.0 ** task.point[1]))
    changed = {
        "seed": task.seed,
        "sampler": Sampler(kind=KIND),
        "budget": SearchBudget(trials=task.trials),
        "reference_point": point,
    }
    return recording_of(STUDY).study.model_copy(update=changed)
