"""What a search needs with many workers: compute and virtual time to a share of the region, by number of workers.

    python -m tests.benchmarks.workers [RECORDING | virtual ...] [--workers 1 8 64] [--seeds N] [--output FILE]

Each search may spend a quarter of the whole space's FLOPs (a tenth of the virtual one's), and proposals take ten
minutes on average. `virtual` is a space of 6,400 recipes whose curves are a closed form, with the noise of 500 images.
"""

import argparse
import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each process: two run at once

import numpy as np
import optuna

from cluster.connection.session import prepare_environment

prepare_environment(None)  # before anything imports Ray, hence the imports below

from analysis.pareto.hypervolume import hypervolume, log_compute  # noqa: E402  # as above
from search.recipes.fixed import FixedRecipes  # noqa: E402
from search.simulation.driver import simulate, trace  # noqa: E402
from search.simulation.recording import Curve, Recording, read  # noqa: E402
from search.simulation.virtual_cluster import VirtualCluster  # noqa: E402
from search.study.algorithms import Budget, Sampler  # noqa: E402
from search.study.study import compute_of  # noqa: E402
from tests.benchmarks.peers.statistics import ratio_of_medians  # noqa: E402
from tests.support.made_recordings import finite, made  # noqa: E402

VIRTUAL = "virtual"
SHARES = {VIRTUAL: 0.1}  # of the whole space's compute that a search may spend, where it is not a quarter
LENGTH = 600.0  # virtual seconds of a proposal, on average
LEVELS = (0.8, 0.95)  # of the region's hypervolume
IMAGES = 500
LARGE = [
    "space.compression={pruning_ratio: {low: 0.1, high: 0.8, step: 0.1}, scope: [uniform]}",
    "space.perturbation={kind: [n_fgsm, pgd], epsilon: {low: 0.05, high: 0.2, levels: 4}, "
    "steps: {low: 2, high: 5, levels: 4}}",
    "space.schedule={epochs: {low: 2, high: 20, log: true, levels: 8}, "
    "learning_rate: {low: 0.005, high: 0.08, levels: 5}}",
]
Row = list[float]  # share of the budget, virtual hours since the first proposal began, and share of the region


@cache
def recorded(source: str) -> Recording:
    """Read a recording, or make the virtual one."""
    if source != VIRTUAL:
        return read(source)
    recording = made(finite(*LARGE))
    return replace(recording, curves={key: _noisy(key, curve) for key, curve in recording.curves.items()})


def _noisy(key: str, curve: Curve) -> Curve:
    """A final score as so many images would have told it, the same each time."""
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big"))
    score = float(rng.binomial(IMAGES, np.clip(curve.metrics["robust_accuracy"], 0.0, 1.0))) / IMAGES
    return replace(curve, metrics={**curve.metrics, "robust_accuracy": score})


def run(source: str, kind: str, workers: int, seed: int) -> list[Row]:
    """Run one search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each runs in a process of its own
    recording = recorded(source)
    proposals = [curve for key, curve in recording.curves.items() if key.startswith("{")]
    whole = SHARES.get(source, 0.25) * sum(float(curve.rows[-1]["train_flops"]) for curve in proposals)
    budget = Budget(trials=len(proposals), flops=whole)
    changed = {"seed": seed, "sampler": Sampler(kind=kind), "halving": None, "budget": budget}
    study = recording.study.model_copy(update=changed)
    curves, seconds = recording.of(study), [sum(row["seconds"] for row in one.rows) for one in proposals]
    stretch = LENGTH / (float(np.mean(seconds)) + float(np.mean([one.preparation for one in proposals])))
    done = simulate(study, curves, VirtualCluster(workers=workers, stretch=stretch, decision=0.0))
    best, grown = _region(source), trace(done, study, curves)
    base = next(one.seconds for one in done.endings if one.proposal.role == "base")
    rows = np.column_stack([grown["flops"] / whole, (grown["seconds"] - base) / 3600, grown["hypervolume"] / best])
    return [[float(one) for one in row] for row in rows if row[0] <= 1.0]


@cache
def _region(source: str) -> float:
    """Hypervolume of all recipes together."""
    recording = recorded(source)
    study, compute = recording.study, compute_of(recording.study)
    fixed = FixedRecipes.of(study)
    base, reference = recording.curves[fixed.base.name].metrics, recording.curves[fixed.reference.name].metrics
    robust = {"reference": reference["robust_accuracy"], "base": base["robust_accuracy"]}
    point = study.reference_point.point(**robust, compute=reference[compute])
    assert point is not None
    ended = [one.metrics for key, one in recording.curves.items() if key.startswith("{") and one.metrics]
    return hypervolume(np.array([(one["robust_accuracy"], log_compute(one[compute])) for one in ended]), point)


def needed(growth: list[Row], level: float, column: int) -> float:
    """Share of the budget (column 0) or hours (1) until a share of the region was found; infinite: not found."""
    return min((row[column] for row in growth if row[2] >= level), default=float("inf"))


def main() -> None:
    """Run what is not in the output file yet, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sources", nargs="*", default=["digits", "digits_wide", "fashion_mnist"])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--kinds", nargs="+", default=["cost_aware", "random"])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("build/workers.jsonl"), help="goes on from what is there")
    given = parser.parse_args()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, list[Row]] = {}
    if given.output.exists():
        known = dict(json.loads(line) for line in given.output.read_text().splitlines())
    cells = [
        (source, kind, workers, seed)
        for source in given.sources
        for workers in given.workers
        for kind in given.kinds
        for seed in range(given.seeds)
    ]
    left = [cell for cell in cells if str(cell) not in known]
    with ProcessPoolExecutor(max_workers=given.processes, mp_context=get_context("spawn")) as pool:
        for cell, growth in zip(left, pool.map(run, *zip(*left, strict=True)) if left else [], strict=True):
            known[str(cell)] = growth
            with given.output.open("a") as file:
                file.write(json.dumps([str(cell), growth]) + "\n")
    for source in given.sources:
        _print(source, given.kinds, given.workers, given.seeds, known)


def _print(source: str, kinds: list[str], workers: list[int], seeds: int, known: Mapping[str, list[Row]]) -> None:
    shares: dict[tuple[str, int, float], np.ndarray[Any, Any]] = {}
    for kind in kinds:
        for count in workers:
            runs = [known[str((source, kind, count, seed))] for seed in range(seeds)]
            line = f"{source}, {kind}, {count} workers:"
            for level in LEVELS:
                spent = np.array([needed(one, level, 0) for one in runs])
                hours = np.median([needed(one, level, 1) for one in runs])
                shares[kind, count, level] = spent
                line += (
                    f" {level:.0%} at {np.median(spent):.3f} in {np.isfinite(spent).sum()} of {seeds}, {hours:.2f} h;"
                )
            print(f"{line} ends at {np.mean([one[-1][2] if one else 0.0 for one in runs]):.3f}")
    for kind, count, level in list(shares):
        if (kind, 1, level) in shares and count > 1:
            ratio = ratio_of_medians(shares[kind, count, level], shares[kind, 1, level])
            print(
                f"{source}, {kind}, {level:.0%}: {count} workers take {'at most ' if ratio.is_bound else ''}"
                f"{ratio.value:.2f} of one worker's compute ({ratio.low:.2f} to {ratio.high:.2f})"
            )


if __name__ == "__main__":
    main()
