"""The optimizers behind their protocol. Those whose packages are of the benchmark's environments are tested there."""

import numpy as np
import pytest
from optuna.trial import TrialState

from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.recipes.proposals import propose
from search.simulation.recording import Recording
from tests.benchmarks.peers.accounting import Step, grown, search
from tests.benchmarks.peers.optimizers import optuna_samplers, temper
from tests.benchmarks.peers.optimizers.nehvi import hypervolume_gains
from tests.benchmarks.peers.optimizers.peer import Budget, Left, Peer, Result, Task
from tests.benchmarks.peers.optimizers.registry import ENTRANTS
from tests.benchmarks.peers.tables.costs import costs_of
from tests.benchmarks.peers.tables.recordings import recorded_table, recording_of
from tests.benchmarks.peers.tables.table import Table
from tests.benchmarks.peers.tables.toy import score, toy_table

WEIGHING = ("cost-aware", "NEHVI", "NEHVI / cost")  # the optimizers that can use what a recipe will cost
ALL_LEFT = Left(Budget(9), 9, None)
TRIALS = 10  # more than the random ones that models begin with


def task_of(table: Table, trials: int, seed: int) -> Task:
    params = tuple(one.params for one in table.entries)
    return Task(table.parameters, params, table.features, table.point, costs_of(table), trials, seed)


def test_all_optimizers_are_here() -> None:
    assert len(ENTRANTS) == 9
    assert len({one.maker for one in ENTRANTS.values()}) == 9
    assert len([one for one in ENTRANTS.values() if one.is_here]) >= 5


@pytest.mark.parametrize(
    ("name", "told"), [*((name, True) for name in ENTRANTS), *((name, False) for name in WEIGHING)]
)
def test_the_protocol(name: str, told: bool) -> None:
    """Each runs as many different recipes as it may, the same ones with the same seed and others with another."""
    if not ENTRANTS[name].is_here:
        pytest.skip(f"{ENTRANTS[name].module} is not installed in this environment")

    def run(seed: int) -> list[Step]:
        return search(toy_table(told=told), ENTRANTS[name].make(), Budget(TRIALS), seed)

    steps, again, other = run(1), run(1), run(2)
    finished = [step.entry for step in steps if step.finished]
    assert len({step.entry for step in steps}) == TRIALS
    assert len(set(finished)) == len(finished)
    assert steps == again
    assert steps != other


def test_optuna_learns_of_the_recipe_that_ran_and_not_of_the_one_that_it_asked_for() -> None:
    table = toy_table()
    peer = optuna_samplers.nsga2(task_of(table, 9, 0))
    assert isinstance(peer, optuna_samplers._Optuna)
    asked = peer.ask(ALL_LEFT).params
    number = next(number for number, one in enumerate(table.entries) if one.params["attack"] != asked["attack"])
    ran = table.entries[number].params
    peer.tell(Result(number, ran, 1.0, score(ran), 2.0))
    failed, told = peer._study.trials
    assert failed.state is TrialState.FAIL
    assert (told.state, told.values) == (TrialState.COMPLETE, [score(ran), 2.0])
    values = {one.name: one.choices[told.params[one.name]] for one in table.parameters if one.ordered}
    assert {name: values[name] for name in ("length", "rate")} == {name: ran[name] for name in ("length", "rate")}
    assert told.params["attack"] == ran["attack"]
    assert told.system_attrs  # its generation


def test_tpe_is_asked_only_for_what_applies() -> None:
    peer = optuna_samplers.tpe(task_of(toy_table(), 9, 0))
    asked = [peer.ask(ALL_LEFT).params for _ in range(12)]
    assert {("steps" in params) == (params["attack"] == "pgd") for params in asked} == {True}
    assert {params["attack"] for params in asked} == {"fgsm", "pgd"}


def test_a_model_finds_more_than_chance() -> None:
    """Over ten seeds on the small table; a random search stands for an optimizer that is told nothing."""

    def found(name: str) -> float:
        runs = [search(toy_table(), ENTRANTS[name].make(), Budget(14), seed) for seed in range(10)]
        return float(np.mean([grown(toy_table(), steps)[1][-1] for steps in runs]))

    assert found("Optuna TPE") > found("random") + 0.02


@pytest.mark.parametrize(
    ("candidate", "gain"),
    [
        ((0.8, 1.0), 0.3 * 1 + 0.2 * 2 + 0.2 * 3),  # three steps of the frontier above it in cost: .1–.4, –.6, –.8
        ((0.5, 1.5), 0.3 * 0.5 + 0.1 * 1.5),
        ((0.5, 3.5), 0.0),
        ((0.05, 0.5), 0.0),
        ((0.9, 4.5), 0.0),
    ],
)
def test_hypervolume_gains_of_boxes(candidate: tuple[float, float], gain: float) -> None:
    """A frontier of .4 at 2 and .6 at 3; a dominated recipe, one that is too poor and one that is too dear."""
    seen, decades = np.array([0.6, 0.4, 0.3, 0.05, 0.9]), np.array([3.0, 2.0, 2.5, 0.1, 4.2])
    gains = hypervolume_gains(np.array([candidate[0]]), np.array([candidate[1]]), seen, decades, (0.1, 4.0))
    assert gains == pytest.approx([gain])


def test_the_sampler_asked_and_told_proposes_what_it_proposes_in_the_products_simulation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On a table that is no recording only the making of recipes is replaced; here even that is the product's."""
    trials, seed = 13, 5
    table, recording = recorded_table("digits"), recording_of("digits")
    expected = [step.entry for step in temper.simulated("digits", table, Budget(trials), seed)]

    made: list[Peer] = []

    def make(task: Task) -> Peer:
        made.append(temper.cost_aware(task))
        return made[-1]

    monkeypatch.setattr(temper._CostAware, "_propose", _products(recording, table, seed))
    assert [step.entry for step in search(table, make, Budget(trials), seed)] == expected
    assert len(made) == 1


def _products(recording: Recording, table: Table, seed: int) -> object:
    """Make rows with the product's own function, so that the same numbers are drawn in the same order."""
    study = recording.study.model_copy(update={"seed": seed})
    fixed = FixedRecipes.of(study)
    keys = [one.id for one in recording.of(study)]
    entries = dict(zip(keys[-len(table.entries) :], range(len(table.entries)), strict=True))

    def make(self: object, chooser: RandomChooser, *_: object) -> temper.TableRecipe:
        recipe = propose(chooser, study, fixed)
        return temper.TableRecipe(recipe.id, entries[recipe.id])

    return make
