"""Simulated searches against closed forms: virtual time, utilisation, failures, early stops, hypervolume."""

import itertools
import math
from collections.abc import Mapping

import numpy as np
import pytest

from search.events import Outcome, Proposal
from search.halving.judge import Judge
from search.halving.scheduler import ParetoHalving
from search.recipes.fixed import FixedRecipes
from search.simulation.driver import Ended, Simulated, simulate, trace
from search.simulation.recording import Curve
from search.simulation.virtual_cluster import VirtualCluster
from search.study.algorithms import Halving
from search.study.study import Study
from tests.support.made_recordings import REFERENCE, accuracy, finite, flops, made, seconds
from trainables.errors import TemperError
from trainables.execution.ending import FINISHED, Ending, EndKind, State
from trainables.recipe.recipe import Recipe

RANDOM = "sampler.kind=random"
HALVING = Halving(grace=0.25, reduction_factor=2)
RANDOMLY_HALVED = [RANDOM, "budget.trials=40", "halving={grace: 0.25, reduction_factor: 2}"]


def run(study: Study, cluster: VirtualCluster) -> tuple[Simulated, Mapping[Recipe, Curve]]:
    curves = made(study).of(study)
    return simulate(study, curves, cluster), curves


def proposals(simulated: Simulated) -> list[Ended]:
    return [ending for ending in simulated.endings if ending.proposal.role == "proposed"]


@pytest.mark.parametrize(("stretch", "speed"), [(1.0, 1.0), (3.0, 2.0)])
def test_one_worker_takes_the_sum_of_what_was_recorded(stretch: float, speed: float) -> None:
    cluster = VirtualCluster(stretch=stretch, speeds=(speed,), decision=0.0)
    simulated, curves = run(finite(RANDOM, "budget.trials=12"), cluster)
    taken = [seconds(curves[ending.proposal.recipe]) * stretch / speed for ending in simulated.endings]
    assert len(taken) == 3 + 12
    assert [ending.seconds for ending in simulated.endings] == pytest.approx(list(itertools.accumulate(taken)))
    assert [ending.outcome.seconds for ending in simulated.endings] == pytest.approx(taken)
    assert simulated.seconds == pytest.approx(sum(taken))
    assert simulated.trial_seconds == pytest.approx(np.mean(taken[3:]))
    assert simulated.deciding == 0.0
    assert simulated.utilisation == pytest.approx(1.0)
    spent = np.cumsum([flops(ending.proposal.params) for ending in proposals(simulated)])
    assert [ending.flops for ending in proposals(simulated)] == pytest.approx(spent)
    for ending in proposals(simulated):
        assert ending.outcome.state is State.COMPLETE
        assert (ending.outcome.metrics or {})["robust_accuracy"] == pytest.approx(accuracy(ending.proposal.params))


def test_a_worker_of_twice_the_speed_takes_half_of_the_time() -> None:
    simulated, _ = run(finite("budget.trials=0"), VirtualCluster(workers=2, speeds=(1.0, 2.0), decision=0.0))
    # The base takes 0.25 + 5 × 0.125 s and then makes room for the fast baseline of 0.25 + 10 × 0.125 + 2 s, while
    # the reference of 0.25 + 10 × 0.125 + 8 s is on the fast worker.
    ended = {ending.proposal.name: ending.seconds for ending in simulated.endings}
    assert ended == pytest.approx({"base": 0.875, "fast_at_10": 0.875 + 3.5, "pgd_at_10": 9.5 / 2})
    assert simulated.seconds == pytest.approx(4.75)
    assert math.isnan(simulated.utilisation)


EQUAL = [  # four proposals of 4 epochs, each of 0.125 + 0.16 s
    "sampler.kind=grid",
    "space.compression.pruning_ratio={low: 0.2, high: 0.2}",
    "space.perturbation={kind: [n_fgsm], epsilon: {low: 0.1, high: 0.2, levels: 2}}",
    "space.schedule.epochs={low: 4, high: 4}",
]


def test_utilisation_is_the_share_of_time_without_the_waits_for_decisions() -> None:
    simulated, _ = run(finite(*EQUAL, "budget.trials=4"), VirtualCluster(decision=0.1))
    # A trial computes for 0.25 + 4 × 0.285 s. Tune asks for it and adds it; it waits for scheduler and searcher after
    # each epoch: ten decisions from one start to the next.
    assert simulated.utilisation == pytest.approx(1.39 / (1.39 + 10 * 0.1))
    assert simulated.trial_seconds == pytest.approx(1.39)


def test_decisions_are_taken_one_after_another() -> None:
    simulated, curves = run(finite(RANDOM, "budget.trials=30"), VirtualCluster(workers=64, decision=1.0))
    least = sum(2 + 2 * len(curves[ending.proposal.recipe].rows) for ending in simulated.endings)
    assert simulated.deciding == simulated.decisions >= least
    assert simulated.seconds >= least
    longest = max(seconds(curve) for curve in curves.values())
    assert least > 5 * longest  # which is about what it would take if each worker had a driver of its own
    assert simulated.utilisation < 0.2


def test_workers_are_busy_so_long_as_there_is_enough_to_do() -> None:
    simulated, _ = run(finite("sampler.kind=grid"), VirtualCluster(workers=16, decision=0.001))
    assert len(proposals(simulated)) == 144
    assert 0.95 <= simulated.utilisation < 1


def test_with_a_fixed_time_for_decisions_all_is_determined() -> None:
    study = finite(*RANDOMLY_HALVED, "budget.retries=1")
    cluster = VirtualCluster(workers=4, failures=20.0, repair=5.0, decision=0.01)
    first, again, other = (
        run(study, one)[0]
        for one in (cluster, cluster, VirtualCluster(workers=4, failures=20.0, repair=5.0, decision=0.02))
    )
    assert first == again
    assert first.endings != other.endings


def test_a_lost_worker_costs_its_epoch_its_preparation_and_the_repair() -> None:
    simulated, curves = run(
        finite(RANDOM, "budget={trials: 10, retries: 100}"),
        VirtualCluster(failures=2.0, repair=3.0, decision=0.0, seed=1),
    )
    rng, now, spent, losses = np.random.default_rng(1), 0.0, 0.0, 0
    for ending in simulated.endings:
        curve, anew, busy = curves[ending.proposal.recipe], True, 0.0
        for row in curve.rows:
            cost = flops(ending.proposal.params) / len(curve.rows) if ending.proposal.role == "proposed" else 0.0
            while (life := rng.exponential(2.0)) < (whole := row["seconds"] + curve.preparation * anew):
                now, busy, spent, losses, anew = now + life + 3.0, busy + life, spent + cost, losses + 1, True
            now, busy, spent, anew = now + whole, busy + whole, spent + cost, False
        assert ending.outcome.state is State.COMPLETE
        assert ending.seconds == pytest.approx(now)
        assert ending.outcome.seconds == pytest.approx(busy)
        assert ending.flops == pytest.approx(spent)
    assert losses > 10
    assert len(simulated.endings) == 13
    assert simulated.utilisation == pytest.approx(1.0)  # being down is not being idle


@pytest.mark.parametrize(("retries", "workers", "failures"), [(0, 1, 20.0), (0, 3, 20.0), (1, 3, 6.0)])
def test_a_trial_that_lost_its_worker_too_often_failed_and_the_search_goes_on(
    retries: int, workers: int, failures: float
) -> None:
    study = finite(RANDOM, f"budget={{trials: 30, retries: {retries}}}")
    simulated, _ = run(study, VirtualCluster(workers=workers, failures=failures, decision=0.0, seed=4))
    states = [ending.outcome.state for ending in proposals(simulated)]
    assert len(states) == 30
    assert set(states) == {State.COMPLETE, State.FAIL}
    for ending in simulated.endings:
        if ending.outcome.state is State.FAIL:
            assert (ending.outcome.reason, ending.outcome.metrics) == (
                "its worker failed 1 time" if retries == 0 else "its worker failed 2 times",
                None,
            )


def test_what_a_recipe_starts_from_ends_before_it_begins() -> None:
    further = (
        "baselines.1={name: further, base: pgd_at_10, perturbation: {kind: n_fgsm, epsilon: 0.2}, "
        "schedule: {epochs: 10, learning_rate: 0.1}}"
    )
    simulated, curves = run(finite(RANDOM, "budget.trials=30", further), VirtualCluster(workers=100, decision=0.0))
    ended = {ending.proposal.recipe: ending.seconds for ending in simulated.endings}
    begun = {recipe: end - seconds(curves[recipe]) for recipe, end in ended.items()}
    based = [recipe for recipe in ended if recipe.base is not None]
    assert len(based) == 31
    assert all(begun[recipe] == pytest.approx(ended[recipe.base]) for recipe in based if recipe.base)


def test_halving_stops_trials_as_it_would_one_after_another() -> None:
    study = finite(*RANDOMLY_HALVED)
    simulated, curves = run(study, VirtualCluster(decision=0.0))
    judge, spent = Judge.of(study, FixedRecipes.of(study)), 0.0
    assert judge is not None
    for ending in simulated.endings:
        recipe, stopped, curve = ending.proposal.recipe, None, curves[ending.proposal.recipe]
        if ending.proposal.role != "proposed":  # they make the region that proposals are judged by
            for row in curve.rows:
                judge.reported(ending.proposal, row)
            judge.ended(ending.proposal, ending.outcome)
            continue
        for row in curve.rows[:-1]:
            stopped = judge.report(recipe.id, ending.proposal.number, len(curve.rows), dict(row))
            if stopped:
                break
        spent += row["train_flops"] if stopped else curve.metrics["train_flops"]
        assert ending.outcome.ending == (stopped or FINISHED)
        assert (ending.outcome.metrics is None) == (stopped is not None)
        assert ending.flops == pytest.approx(spent)
        judge.ended(ending.proposal, ending.outcome)
    states = [ending.outcome.state for ending in proposals(simulated)]
    assert min(states.count(State.PRUNED), states.count(State.COMPLETE)) > 8


def test_the_judge_hears_what_finished() -> None:
    study, judge = finite(*RANDOMLY_HALVED), Judge(HALVING, ("robust_accuracy", "train_flops"))
    cluster = VirtualCluster(workers=4, decision=0.0)
    simulated = simulate(study, made(study).of(study), cluster, ParetoHalving(judge), [judge])
    finished = [ending for ending in proposals(simulated) if ending.outcome.state is State.COMPLETE]
    assert 0 < len(finished) < 40
    expected = {ending.proposal.recipe.id: accuracy(ending.proposal.params) for ending in finished}
    assert judge.final == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(2))
def test_the_recipes_of_a_finite_space_are_all_proposed_where_the_budget_allows_it(seed: int) -> None:
    """The last ones are not drawn any more, and yet they are there."""
    study = finite("sampler.kind=cost_aware", "budget.trials=1000", f"seed={seed}")
    simulated, curves = run(study, VirtualCluster(decision=0.0))
    proposed = {ending.proposal.recipe for ending in proposals(simulated)}
    fixed = {one.recipe for one in FixedRecipes.of(study)}
    assert proposed == set(curves) - fixed
    assert len(proposals(simulated)) == len(proposed)


def test_a_budget_of_hours_is_of_virtual_time() -> None:
    simulated, curves = run(
        finite(RANDOM, "budget={trials: 144, hours: 0.01}"), VirtualCluster(workers=2, decision=0.0)
    )
    begun = [ending.seconds - seconds(curves[ending.proposal.recipe]) for ending in proposals(simulated)]
    assert 10 < len(begun) < 100
    assert max(begun) < 36 < simulated.seconds


@pytest.mark.parametrize("kind", ["grid", "cost_aware"])
def test_a_recipe_that_was_not_recorded_cannot_be_simulated(kind: str) -> None:
    study = finite(*EQUAL, "budget.trials=4", f"sampler.kind={kind}")
    curves = made(study).of(study)
    del curves[list(curves)[-1]]
    with pytest.raises(TemperError, match=r"recipe \w+: was not recorded, so it cannot be simulated"):
        simulate(study, curves, VirtualCluster(decision=0.0))


def test_the_hypervolume_grows_as_counted_by_hand() -> None:
    study = finite("reference_point.robust_accuracy=1 of base")
    curves = made(study).of(study)
    made_up: list[tuple[str, float | None, float]] = [
        ("baseline", 0.8, 1e9),  # no proposal
        ("proposed", 0.45, REFERENCE / 10),
        ("proposed", None, 0.0),  # stopped
        ("proposed", 0.65, REFERENCE),
        ("proposed", 0.25, REFERENCE / 5),  # dominated
    ]
    recipe, endings = FixedRecipes.of(study).base.recipe, []
    for number, (role, robust, cost) in enumerate(made_up):
        metrics = None if robust is None else {"robust_accuracy": robust, "train_flops": cost}
        outcome = Outcome(FINISHED if metrics else Ending(EndKind.STOPPED), metrics, 1.0)
        proposal = Proposal(recipe, "proposed" if role == "proposed" else "baseline", None, number)
        endings.append(Ended(proposal, outcome, seconds=2.0 * number, flops=3.0 * number))
    table = trace(Simulated(tuple(endings), 8.0, 1.0, 0, 0.0, 1.0), study, curves)
    # The base is 0.05 robust; the bound lies at 1.1 times the reference's compute.
    first, third = 0.4 * math.log10(11), 0.4 * math.log10(11) + 0.2 * math.log10(1.1)
    assert table["hypervolume"].tolist() == pytest.approx([first, first, third, third])
    assert table["seconds"].tolist() == [2.0, 4.0, 6.0, 8.0]
    assert table["flops"].tolist() == [3.0, 6.0, 9.0, 12.0]
