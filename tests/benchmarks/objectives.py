"""Searches for three and four objectives on recorded curves: what the cost-aware sampler needs to get as far as TPE.

    python -m tests.benchmarks.objectives [RECORDING ...] [--seeds N] [--output FILE]

Each search may spend a quarter of the whole table's FLOPs, on one worker. The hypervolume is over all objectives, as
Optuna computes it, from the corner that the study's rule makes of base and reference.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each process: two run at once

import numpy as np
import optuna

from cluster.connection.session import prepare_environment

prepare_environment(None)  # before anything imports Ray, hence the imports below

from optuna._hypervolume import compute_hypervolume  # noqa: E402  # as above

from search.gain.axes import axes_of, costs_of  # noqa: E402  # as above
from search.recipes.fixed import FixedRecipes  # noqa: E402  # as above
from search.simulation.driver import simulate  # noqa: E402  # as above
from search.simulation.recording import read, shipped  # noqa: E402  # as above
from search.simulation.virtual_cluster import VirtualCluster  # noqa: E402  # as above
from search.study.algorithms import Budget, Sampler  # noqa: E402  # as above
from search.study.study import compute_of  # noqa: E402  # as above
from tests.benchmarks.peers.statistics import ratio_of_medians  # noqa: E402  # as above

SHARE = 0.25  # of the compute of the whole space: what each search may spend
CUTS = (
    ("robust_accuracy", "train_flops", "inference_macs"),
    ("robust_accuracy", "train_flops", "clean_accuracy"),
    ("robust_accuracy", "train_flops", "clean_accuracy", "device_seconds"),
)
Growth = list[tuple[float, float]]  # share of the budget, and hypervolume, after each proposal that ended


def run(source: str, objectives: tuple[str, ...], kind: str, seed: int) -> Growth:
    """Run one search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each runs in a process of its own
    recording = read(source)
    proposals = [curve for key, curve in recording.curves.items() if key.startswith("{")]
    whole = SHARE * sum(float(curve.rows[-1]["train_flops"]) for curve in proposals)
    changed = {
        "seed": seed,
        "objectives": objectives,
        "sampler": Sampler(kind=kind),
        "halving": None,
        "budget": Budget(trials=len(proposals), flops=whole),
    }
    study = recording.study.model_copy(update=changed)
    curves, axes, fixed = recording.of(study), axes_of(study), FixedRecipes.of(study)
    base, reference = curves[fixed.base.recipe].metrics, curves[fixed.reference.recipe].metrics
    robust = {"reference": reference["robust_accuracy"], "base": base["robust_accuracy"]}
    point = study.reference_point.point(**robust, compute=reference[compute_of(study)])
    assert point is not None
    corner = np.array([-point[0], point[1], *(axis.worst(reference[axis.metric]) for axis in axes[2:])])
    rows, found, area = Growth(), list[np.ndarray[tuple[int, ...], np.dtype[np.float64]]](), 0.0
    for ending in simulate(study, curves, VirtualCluster(decision=0.0)).endings:
        if ending.proposal.role != "proposed":
            continue
        metrics = ending.outcome.metrics
        if metrics is not None and (costs_of(axes, metrics) < corner).all():
            found.append(costs_of(axes, metrics))
            area = float(compute_hypervolume(np.array(found), corner))
        rows.append((ending.flops / whole, area))
    return rows


def needed(growth: Growth, wanted: float) -> float:
    """Share of the budget after which a hypervolume was found; infinite: not within the budget."""
    return min((share for share, area in growth if area >= wanted and share <= 1.0), default=float("inf"))


def main() -> None:
    """Run what is not in the output file yet, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recordings", nargs="*", default=["digits", "digits_wide", "fashion_mnist"], choices=shipped())
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument(
        "--output", type=Path, default=Path("build/objectives.jsonl"), help="goes on from what is there"
    )
    arguments = parser.parse_args()
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    known: dict[str, Growth] = {}
    if arguments.output.exists():
        known = dict(json.loads(line) for line in arguments.output.read_text().splitlines())
    cells = [
        (source, cut, kind, seed)
        for source in arguments.recordings
        for cut in CUTS
        for kind in ("cost_aware", "tpe")
        for seed in range(arguments.seeds)
    ]
    left = [cell for cell in cells if str(cell) not in known]
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        for cell, growth in zip(left, pool.map(run, *zip(*left, strict=True)) if left else [], strict=True):
            known[str(cell)] = growth
            with arguments.output.open("a") as file:
                file.write(json.dumps([str(cell), growth]) + "\n")
    for source in arguments.recordings:
        for cut in CUTS:
            ours, theirs = (
                [known[str((source, cut, kind, seed))] for seed in range(arguments.seeds)]
                for kind in ("cost_aware", "tpe")
            )
            wanted = float(np.median([max(area for share, area in one if share <= 1.0) for one in theirs]))
            ratio = ratio_of_medians(
                np.array([needed(one, wanted) for one in ours]), np.array([needed(one, wanted) for one in theirs])
            )
            end = float(np.median([max(area for share, area in one if share <= 1.0) for one in ours]))
            print(
                f"{source}, {', '.join(cut)}: TPE ends at {wanted:.4f}, which takes {ratio.value:.2f} of its compute"
                f" ({ratio.low:.2f} to {ratio.high:.2f}); cost-aware ends at {end:.4f}"
            )


if __name__ == "__main__":
    main()
