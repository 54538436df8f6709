"""Sweeps learning rates and averaging of a study's baselines, before its space is touched.

    python -m tests.benchmarks.sweep fashion_mnist_small --baselines pgd_at_12 n_fgsm_at_12 --device cpu

A comparison is worth as much as what it is held against: each baseline gets the same number of runs, is scored on the
validation split as the study scores, and the best pair goes into the study. Each run is a line of a file, so that it
goes on where it was stopped; the cheapest runs come first. The table shows the mean over seeds, and marks the best.
"""

import argparse
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch

from search.recipes.baselines import started_recipes
from search.study.loading import load
from search.study.study import Study
from trainables.data.splits import Splits, load_splits
from trainables.execution.pipeline import set_conditions
from trainables.execution.standalone import run
from trainables.recipe.recipe import Recipe

KEPT = Path(__file__).parent / "sweeps"
RATES, AVERAGING, SEEDS = (0.025, 0.05, 0.1, 0.2), (None, 0.98), (0,)
Row = dict[str, Any]


def swept(study: Study, name: str, rate: float, averaging: float | None, seed: int) -> Recipe:
    """Returns a baseline's recipe with another highest learning rate, decay of the average, and seed."""
    recipe = started_recipes(study, seed)[name]
    schedule = recipe.schedule.model_copy(update={"learning_rate": rate, "averaging": averaging})
    return recipe.model_copy(update={"schedule": schedule})


def measure(recipe: Recipe, study: Study, splits: Splits, device: torch.device) -> Row:
    """Trains one recipe; accuracies are 0–1, and NaN is written as null where it did not finish."""
    began = time.perf_counter()
    pipeline = run(recipe, study.protocol, splits, device)
    finished = pipeline.reason is None
    metrics = pipeline.metrics() if finished else {}
    return {
        "robust_accuracy": metrics.get("robust_accuracy"),
        "clean_accuracy": metrics.get("clean_accuracy"),
        "train_flops": metrics.get("train_flops"),
        "reason": pipeline.reason,
        "seconds": round(time.perf_counter() - began, 1),
        "device": device.type,
    }


def table(rows: Iterable[Row]) -> list[str]:
    """Returns a Markdown table: a line for each baseline and averaging, a column for each rate; the best is bold.

    A pair of which a seed did not finish is no best.
    """
    found: dict[tuple[str, float | None, float], list[float | None]] = {}
    for row in rows:
        found.setdefault((row["baseline"], row["averaging"], row["rate"]), []).append(row["robust_accuracy"])
    means = {key: sum(some) / len(some) for key, values in found.items() if len(some := _whole(values))}
    rates = sorted({rate for _, _, rate in found})
    lines = [f"| baseline | averaging | {' | '.join(f'{rate:g}' for rate in rates)} |", "|---" * (2 + len(rates)) + "|"]
    for name in dict.fromkeys(name for name, _, _ in found):
        best = max((value for key, value in means.items() if key[0] == name), default=None)
        for averaging in dict.fromkeys(decay for one, decay, _ in found if one == name):
            cells = [_cell((name, averaging, rate), found, means, best) for rate in rates]
            lines.append(f"| {name} | {'none' if averaging is None else averaging} | {' | '.join(cells)} |")
    return lines


def _whole(values: Sequence[float | None]) -> list[float]:
    return [] if None in values else [value for value in values if value is not None]


def _cell(
    key: tuple[str, float | None, float],
    found: Mapping[tuple[str, float | None, float], list[float | None]],
    means: Mapping[tuple[str, float | None, float], float],
    best: float | None,
) -> str:
    if key not in means:
        return "failed" if key in found else ""
    text = f"{means[key]:.3f}"
    return f"**{text}**" if means[key] == best else text


def read(path: Path) -> list[Row]:
    """Reads what was measured so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("study")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes of the study")
    parser.add_argument("--baselines", nargs="+", required=True)
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--device", type=torch.device, default="cpu")
    options = parser.parse_args()
    set_conditions(1)
    study = load(options.study, options.set)
    splits, path = load_splits(study.data), KEPT / f"{study.name}.jsonl"
    known = {(row["baseline"], row["rate"], row["averaging"], row["seed"]) for row in read(path)}
    for seed, name, averaging, rate in product(options.seeds, options.baselines, AVERAGING, options.rates):
        if (name, rate, averaging, seed) in known:
            continue
        found = measure(swept(study, name, rate, averaging, seed), study, splits, options.device)
        row = {"baseline": name, "rate": rate, "averaging": averaging, "seed": seed} | found
        path.parent.mkdir(exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)
    print("\n".join(table(read(path))))


if __name__ == "__main__":
    main()
