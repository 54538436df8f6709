"""Makes the table behind the grid's figure: accuracy by arm and by kind and level of compression, seeds averaged."""

import pandas as pd

from analysis.run.trials import Run


def grid_table(run: Run) -> pd.DataFrame:
    """Return one row for each base, axis, arm and level of a run's grid, in the grid's order.

    Returns:
        Columns base, axis (pruning or quantization), arm, level (share of channels removed, or bits), seeds (number of
        seeds that finished), clean and robust (accuracies, means over seeds), clean_sd and robust_sd (sample standard
        deviations, NaN for one seed) and train_flops (mean). Robust accuracy is the metric that the arm's `score`
        names. The table is empty for a run without a grid.
    """
    grid = run.info.get("grid") or {"arms": [], "cells": {}}
    arms = {arm["name"]: arm for arm in grid["arms"]}
    rows = []
    for identity, cell in grid["cells"].items():
        trial = run.finished(identity)
        if trial is not None:
            arm = arms[cell["arm"]]
            rows.append(
                {
                    **{key: cell[key] for key in ("axis", "arm", "level")},
                    "base": arm["base"],
                    "clean": trial.metrics["clean_accuracy"],
                    "robust": trial.metrics[arm["score"]],
                    "train_flops": trial.metrics["train_flops"],
                }
            )
    if not rows:
        return pd.DataFrame(columns=["base", "axis", "arm", "level", "seeds", *_NUMBERS])
    grouped = pd.DataFrame(rows).groupby(["base", "axis", "arm", "level"], sort=False)
    return grouped.agg(
        seeds=("clean", "size"),
        clean=("clean", "mean"),
        clean_sd=("clean", "std"),
        robust=("robust", "mean"),
        robust_sd=("robust", "std"),
        train_flops=("train_flops", "mean"),
    ).reset_index()


_NUMBERS = ("clean", "clean_sd", "robust", "robust_sd", "train_flops")
