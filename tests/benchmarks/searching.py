"""Searches against each other on recorded curves: hypervolume by compute and by virtual time.

    python -m tests.benchmarks.searching [RECORDING ...] [--variants] [--seeds N] [--output FOLDER]

Every search gets the same compute. Digits is what Temper's defaults were tuned on; Fashion-MNIST is what counts.
"""

import argparse
import copy
import os
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

os.environ.setdefault("OMP_NUM_THREADS", "1")  # of each process: two run at once

import numpy as np
import optuna
import pandas as pd

from cluster.connection.session import prepare_environment
from tests.benchmarks.ceiling import ceiling

prepare_environment(None)  # before anything imports Ray, hence the imports below

from ray.tune.schedulers import AsyncHyperBandScheduler  # noqa: E402  # as above

from analysis.pareto.reference_point import ReferencePoint  # noqa: E402
from search.failures import ending_of, error_of  # noqa: E402
from search.halving.judge import Judge  # noqa: E402
from search.halving.scheduler import ParetoHalving  # noqa: E402
from search.samplers.limits import Limits  # noqa: E402
from search.simulation.driver import simulate, trace  # noqa: E402
from search.simulation.recording import Curve, Recording, read  # noqa: E402
from search.simulation.virtual_cluster import Stopper, VirtualCluster  # noqa: E402
from search.study.algorithms import Budget, Halving, Sampler  # noqa: E402
from search.study.study import Study  # noqa: E402
from trainables.execution.ending import Ending, EndKind  # noqa: E402

SHARE = 0.25  # of the compute of the whole space: what each search may spend
WORKERS = 8
LENGTH = 600.0  # virtual seconds of a random trial, on average


class ScalarisedASHA(AsyncHyperBandScheduler):  # type: ignore[misc]  # Ray ships no types
    """Ray's ASHA on one number: robust accuracy × decades below the reference's compute, the area that a recipe wins.

    Its clock is the share of a recipe's own schedule, as ours is, and its settings are those of `Halving`.
    """

    def __init__(self, reference: float) -> None:
        settings = Halving()
        super().__init__(
            time_attr="percent",
            metric="scalar",
            mode="max",
            max_t=100,
            grace_period=100 * settings.grace,
            reduction_factor=settings.reduction_factor,
        )
        self._reference = np.log10(ReferencePoint().compute.value * reference)
        self.failures: dict[str, Ending] = {}
        self.stops: dict[str, Ending] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        if trial.config["role"] == "proposed":
            super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if trial.config["role"] != "proposed":
            return str(self.CONTINUE)
        answer = str(super().on_trial_result(tune_controller, trial, self._scalar(trial, result)))
        if answer == self.STOP:
            self.stops[trial.trial_id] = Ending(EndKind.STOPPED, "stopped by ASHA")
        return answer

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if trial.config["role"] == "proposed":
            super().on_trial_complete(tune_controller, trial, self._scalar(trial, result))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        self.failures[trial.trial_id] = ending_of(error_of(trial))

    def _scalar(self, trial: Any, result: dict[str, Any]) -> dict[str, Any]:
        decades = self._reference - np.log10(result["planned_train_flops"])
        percent = 100 * result["epoch"] / trial.config["recipe"]["schedule"]["epochs"]
        return result | {"percent": percent, "scalar": (result["robust_accuracy"] or 0.0) * decades}


class EqualEpochs(ParetoHalving):
    """ParetoHalving with its rungs at the same epochs for all recipes: shares of the longest schedule."""

    def __init__(self, study: Study, longest: int) -> None:
        super().__init__(Judge(Halving(), study.objectives))
        self._longest = longest

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        schedule = trial.config["recipe"]["schedule"] | {"epochs": self._longest}
        longer = copy.copy(trial)
        longer.config = trial.config | {"recipe": trial.config["recipe"] | {"schedule": schedule}}
        return str(super().on_trial_result(tune_controller, longer, result))


Contender = tuple[str, str]  # sampler, and what stops trials
CONTENDERS: dict[str, Contender] = {
    "random": ("random", "nothing"),
    "TPE": ("tpe", "nothing"),
    "NSGA-II": ("nsga2", "nothing"),
    "scalarised ASHA": ("random", "asha"),
    "TPE + ParetoHalving": ("tpe", "halving"),
    "TPE + rungs at equal epochs": ("tpe", "equal epochs"),
    "cost-aware": ("cost_aware", "nothing"),
    "cost-aware + ParetoHalving": ("cost_aware", "halving"),
    "cost-aware, gain not by compute": ("cost_aware", "nothing"),
}
RIVALS = ("random", "TPE", "NSGA-II", "scalarised ASHA")
OURS = "cost-aware"


def spendable(recording: Recording) -> float:
    """FLOPs that each search may spend."""
    whole = sum(float(one.rows[-1]["train_flops"]) for key, one in recording.curves.items() if key.startswith("{"))
    return SHARE * whole


def run(source: str, name: str, seed: int) -> pd.DataFrame:
    """One search: a row after each ending of a proposal, see `search.simulation.driver.trace`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # each runs in a process of its own
    recording = read(source)
    kind, stopping = CONTENDERS[name]
    proposals = [curve for key, curve in recording.curves.items() if key.startswith("{")]
    flops = spendable(recording)
    study = recording.study.model_copy(
        update={
            "seed": seed,
            "sampler": Sampler(kind=kind),
            "halving": None if stopping in ("nothing", "asha") else Halving(),
            "budget": Budget(trials=len(proposals), flops=flops),
        }
    )
    curves = recording.of(study)
    stopper: Stopper | None = None
    if stopping == "asha":
        stopper = ScalarisedASHA(recording.curves[study.reference].metrics["train_flops"])
    if stopping == "equal epochs":
        stopper = EqualEpochs(study, max(len(curve.rows) for curve in proposals))
    with patch.object(Limits, "share_left", 0.0) if "not by" in name else nullcontext():
        done = simulate(study, curves, _cluster(proposals, WORKERS), stopper)
    grown = trace(done, study, curves)
    return grown.assign(share=grown["flops"] / flops, hours=grown["seconds"] / 3600)


def _cluster(proposals: list[Curve], workers: int) -> VirtualCluster:
    seconds = np.mean([sum(row["seconds"] for row in curve.rows) + curve.preparation for curve in proposals])
    return VirtualCluster(workers=workers, stretch=LENGTH / float(seconds))


def at(grown: pd.DataFrame, column: str, places: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The hypervolume that a search had at each place of a column."""
    index = np.searchsorted(grown[column].to_numpy(), places, side="right") - 1
    return np.where(index < 0, 0.0, grown["hypervolume"].to_numpy()[np.maximum(index, 0)])


def reached(runs: list[pd.DataFrame], column: str, wanted: float) -> float:
    """Where the median over the seeds first has a hypervolume; infinite if never."""
    places = np.unique(np.concatenate([one[column].to_numpy() for one in runs]))
    medians = np.median([at(one, column, places) for one in runs], axis=0)
    there = places[medians >= wanted]
    return float(there[0]) if len(there) else float("inf")


def compare(source: str, names: list[str], seeds: int, output: Path | None) -> None:
    """Print quartiles over the seeds, and the target's ratio."""
    pairs = [(source, name, seed) for name in names for seed in range(seeds)]
    with ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        grown = dict(zip(pairs, pool.map(run, *zip(*pairs, strict=True)), strict=True))
    by_name = {name: [grown[source, name, seed] for seed in range(seeds)] for name in names}
    rows = []
    for column, places in (
        ("share", np.array([0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0])),
        ("hours", np.array([1.0, 2.0, 4.0, 8.0])),
    ):
        print(f"\n{source}: hypervolume by {column}, 25 / 50 / 75% of {seeds} seeds")
        print(" " * 32 + "".join(f"{place:>18g}" for place in places))
        for name, runs in by_name.items():
            levels = np.quantile([at(one, column, places) for one in runs], [0.25, 0.5, 0.75], axis=0)
            print(f"{name:32s}" + "".join(f"{a:6.3f}{b:6.3f}{c:6.3f}" for a, b, c in levels.T))
            rows += [
                {"search": name, "by": column, "at": place, "q25": a, "q50": b, "q75": c}
                for place, (a, b, c) in zip(places, levels.T, strict=True)
            ]
    spent = np.array([1.0])  # what runs when the compute is spent may finish: that is not compared
    finals = {name: float(np.median([at(one, "share", spent) for one in runs])) for name, runs in by_name.items()}
    best = max(RIVALS, key=lambda name: finals[name])
    print(f"\nbest of the others: {best}, hypervolume {finals[best]:.4f} at equal compute (median)")
    for column in ("share", "hours"):
        first = {name: reached(runs, column, finals[best]) for name, runs in by_name.items()}
        print(f"{column} at which it is reached: " + ", ".join(f"{name} {place:.3f}" for name, place in first.items()))
        print(f"{column}: {OURS} takes {first[OURS] / min(first[name] for name in RIVALS):.2f} of the best other's")
    recording = read(source)
    known = ceiling(recording, finals[best]) / spendable(recording)
    print(f"share: our model, had it seen all recipes but the one that it predicts, would reach it at {known:.3f}")
    if output is not None:
        name = Path(source).stem
        pd.DataFrame(rows).to_csv(output / f"searches_{name}.csv", index=False)
        draw(by_name, finals[best], output / f"searches_{name}.png")


def draw(by_name: dict[str, list[pd.DataFrame]], best: float, path: Path) -> None:
    """Hypervolume over the share of compute: median and quartiles of each search."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.5), layout="constrained")
    places = np.linspace(0.01, 1.0, 200)
    for name in (*RIVALS, OURS):
        low, middle, high = np.quantile([at(one, "share", places) for one in by_name[name]], [0.25, 0.5, 0.75], axis=0)
        (line,) = axes.plot(places, middle, label=name, linewidth=2.5 if name == OURS else 1.5)
        axes.fill_between(places, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.axhline(best, color="0.5", linewidth=0.8, linestyle=":")
    axes.set_xlabel("share of the compute budget spent")
    axes.set_ylabel("hypervolume (robust accuracy × decades of compute)")
    axes.set_ylim(bottom=best * 0.6)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recordings", nargs="*", default=["digits", "fashion_mnist"])
    parser.add_argument("--variants", action="store_true", help="of ours too, besides what the target is about")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    for source in given.recordings:
        compare(source, list(CONTENDERS) if given.variants else [*RIVALS, OURS], given.seeds, given.output)


if __name__ == "__main__":
    main()
