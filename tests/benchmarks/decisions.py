"""What a decision costs a search of ten thousand: `make bench` prints the tables.

First the time of asking for a proposal and telling what became of it, for each sampler, in a searcher that has heard of
so many finished proposals of the digits study; their outcomes are a closed form, and nothing is trained. Then a whole
search of so many by random on a virtual cluster, from a made-up recording of a finite space. CPU time throughout, of
all threads.
"""

import argparse
import json
import math
import time
from typing import Any

import numpy as np
import optuna
from optuna.distributions import distribution_to_json
from optuna.trial import FixedTrial

from search.events import Outcome, Proposal
from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.resume.history import RememberedTrial
from search.simulation.driver import simulate
from search.simulation.recording import Curve, Recording
from search.simulation.virtual_cluster import VirtualCluster
from search.study.loading import load
from search.study.study import Study
from tests.benchmarks.machine import machine
from tests.support.recipes import combinations, propose
from tests.support.searcher import finished
from tests.support.searcher import searcher as searcher_of
from trainables.attacks.registry import attack_of
from trainables.compression.config import ChannelPruning
from trainables.execution.ending import FINISHED
from trainables.recipe.recipe import Recipe

PROPOSALS = 10_000
FEWER = {"gp": 200, "grid": 400}  # a Gaussian process takes seconds at 1,000; a grid ends with its space
PAIRS = {"gp": 3}  # it takes seconds for each; others 20
WORKERS = 64
LENGTH = 600.0  # seconds of a trial on average over the space
FINITE = ["space.perturbation.epsilon.levels=9", "space.schedule.learning_rate.levels=40"]  # 12,960 recipes


def flops(recipe: Recipe) -> float:
    """Of training, about as the ledger counts them."""
    pruning = recipe.compression
    kept = 1.0 - (pruning.pruning_ratio or 0.0) if isinstance(pruning, ChannelPruning) else 1.0
    passes = recipe.schedule.epochs * (1 + attack_of(recipe.perturbation).passes)
    return 1e9 * passes * math.pow(kept, 1.7)


def numbers(recipe: Recipe, noise: float) -> dict[str, float]:
    """Final numbers: longer and dearer is better, with diminishing returns."""
    rate = math.log(recipe.schedule.learning_rate / 0.08)
    compute = flops(recipe)
    robust = 0.8 - 2.0 * (compute / 1e9) ** -0.5 - 0.05 * rate**2 + 0.03 * noise
    return {"robust_accuracy": min(max(robust, 0.05), 0.95), "clean_accuracy": 0.9, "train_flops": compute}


def remembered(study: Study, count: int, rng: np.random.Generator) -> list[RememberedTrial]:
    """A record of the fixed recipes and of so many proposals, drawn at random, or counted through with a grid."""
    made = [Proposal(one.recipe, one.role, one.name, number) for number, one in enumerate(FixedRecipes.of(study))]
    known, listed = set[Recipe](), combinations(study) if study.sampler.kind == "grid" else None
    while len(known) < count:
        draw = RandomChooser(rng)
        params = next(listed) if listed else (propose(draw, study), draw.params)[1]
        trial = FixedTrial(params)
        recipe = propose(trial, study)
        if recipe not in known:
            known.add(recipe)
            distributions = {name: distribution_to_json(one) for name, one in trial.distributions.items()}
            made.append(Proposal(recipe, "proposed", None, len(made), trial.params, distributions))
    past = []
    for order, proposal in enumerate(made):
        metrics = numbers(proposal.recipe, float(rng.normal()))
        row = {"epoch": proposal.recipe.schedule.epochs, **metrics}
        past.append(RememberedTrial(proposal, Outcome(FINISHED, metrics, 1.0), order, (row,)))
    return past


def pairs(kind: str) -> tuple[int, float, list[float]]:
    """Ask and tell.

    Returns:
        Finished proposals before, seconds of replaying them, and milliseconds of each pair.
    """
    count, rng = FEWER.get(kind, PROPOSALS), np.random.default_rng(0)
    grid = kind == "grid"
    settings = [f"sampler.kind={kind}", f"budget.trials={2 * count}", "budget.flops=null"]
    study = load("digits_recorded" if grid else "digits", settings)
    past = remembered(study, count, rng)
    searcher = searcher_of(study, cost=lambda recipe: {"train_flops": flops(recipe)})
    started = time.process_time()
    searcher.replay(past)
    replaying, taken = time.process_time() - started, []
    for number in range(PAIRS.get(kind, 20)):
        started = time.process_time()
        suggestion = searcher.suggest(str(number))
        taken.append(time.process_time() - started)
        assert isinstance(suggestion, dict)
        recipe = Recipe.model_validate(suggestion["recipe"])
        metrics = numbers(recipe, float(rng.normal()))
        result = finished(metrics, recipe.schedule.epochs)
        started = time.process_time()
        searcher.on_trial_complete(str(number), result)
        taken[-1] += time.process_time() - started
    return len(past) - len(list(FixedRecipes.of(study))), replaying, [1000 * one for one in taken]


def made_up(study: Study) -> Recording:
    """A recording of every recipe that a study may run, without running any."""
    rng, fixed = np.random.default_rng(0), {one.name: one.recipe for one in FixedRecipes.of(study)}
    recipes: dict[str, Recipe] = dict(fixed)
    for params in combinations(study):
        recipes[json.dumps(params, sort_keys=True)] = propose(FixedTrial(params), study)
    return Recording(study, {name: curve(recipe, float(rng.normal())) for name, recipe in recipes.items()})


def curve(recipe: Recipe, noise: float) -> Curve:
    """Rows that rise to the final numbers."""
    final, epochs = numbers(recipe, noise), recipe.schedule.epochs
    if recipe.base is None and recipe.perturbation.kind == "none":
        final |= {"robust_accuracy": 0.05, "train_flops": 0.0}
    rows: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        spent = {"train_flops": share * final["train_flops"], "planned_train_flops": final["train_flops"]}
        spent |= {name.replace("train", "end_to_end"): value + 1e9 for name, value in spent.items()}
        scores = {"robust_accuracy": final["robust_accuracy"] * share**0.5, "clean_accuracy": 0.9}
        rows.append({"epoch": epoch, **scores, **spent, "seconds": 0.1 + final["train_flops"] / epochs / 1e10})
    return Curve(tuple(rows), None, final | {"end_to_end_flops": final["train_flops"] + 1e9}, 0.3)


def simulation(*settings: str) -> None:
    """Print what a simulated search takes."""
    study = load("digits_recorded", ["sampler.kind=random", f"budget.trials={PROPOSALS}", *FINITE, *settings])
    recording = made_up(study)
    started = time.process_time()
    curves = recording.of(study)
    opened = time.process_time()
    done = simulate(study, curves, VirtualCluster(workers=WORKERS))
    taken = time.process_time() - opened
    proposed = sum(ending.proposal.role == "proposed" for ending in done.endings)
    print(
        f"{'yes' if settings else 'no':8s} {len(curves):>7} {proposed:>8} {opened - started:>8.1f} s {taken:>8.1f} s "
        f"{done.decisions:>9} {1e6 * taken / done.decisions:>9.0f} µs",
        flush=True,
    )


def utilisation(kind: str, workers: int) -> None:
    """Print the share of time in which workers compute while trials outnumber them."""
    settings = [f"sampler.kind={kind}", f"budget.trials={max(256, 4 * workers)}", *FINITE]
    study = load("digits_recorded", settings)
    curves = made_up(study).of(study)
    seconds = float(np.mean([one.preparation + sum(row["seconds"] for row in one.rows) for one in curves.values()]))
    done = simulate(study, curves, VirtualCluster(workers=workers, stretch=LENGTH / seconds))
    print(
        f"{kind:12s} {workers:>7} {study.budget.trials:>7} {done.trial_seconds:>7.0f} s {done.utilisation:>9.1%} "
        f"{1000 * done.deciding / done.decisions:>8.2f} ms",
        flush=True,
    )


def main() -> None:
    """Print the tables."""
    kinds = ["random", "cost_aware", "tpe", "nsga2", "nsga3", "quasi_random", "grid", "gp"]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"simulation, utilisation, {', '.join(kinds)} (default all)"
    )
    parts = parser.parse_args().parts or [*kinds, "simulation", "utilisation"]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(f"{machine()}, optuna {optuna.__version__}\n")
    if asked := [kind for kind in kinds if kind in parts]:
        print("20 pairs of ask and tell, 3 of gp; target: a median under 100 ms for tpe, cost_aware and random\n")
        print(f"{'sampler':14s} {'finished':>8} {'median':>10} {'95th':>10} {'replay':>10}")
    for kind in asked:
        count, replaying, taken = pairs(kind)
        median, most = np.percentile(taken, [50, 95])
        print(f"{kind:14s} {count:>8} {median:>7.1f} ms {most:>7.1f} ms {replaying:>8.1f} s", flush=True)
    if "simulation" in parts:
        print(f"\na search by random on {WORKERS} virtual workers; target: under 60 s in all without halving\n")
        columns = f"{'opening':>10} {'search':>10} {'decisions':>9} {'each':>12}"
        print(f"{'halving':8s} {'recipes':>7} {'searched':>8} {columns}")
        simulation()
        simulation("halving={}")
    if "utilisation" in parts:
        print(f"\nutilisation while trials outnumber workers, trials of about {LENGTH:.0f} s; target: 95%\n")
        print(f"{'sampler':12s} {'workers':>7} {'trials':>7} {'a trial':>9} {'computing':>9} {'a decision':>11}")
        for kind in ("random", "cost_aware"):
            for workers in (1, 16, 256, 1024):
                utilisation(kind, workers)


if __name__ == "__main__":
    main()
