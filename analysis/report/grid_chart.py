"""Draws accuracy against compression for a grid: a panel for each kind of base and of compression, seeds averaged."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.run.trials import Run, Trial
from trainables.evaluation.config import attack_words
from trainables.value_forms import radius_words

AXES = {"pruning": "channels removed", "quantization": "bits of weights and activations"}
SCORES = {"robust_accuracy": "", "robust_accuracy_as_published": ", scored as published"}
COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7c3aed", "#0e7490", "#be185d")


def draw_grid_png(run: Run, table: pd.DataFrame) -> bytes:
    """Draw a grid's table as panels: a row for ordinary bases and one for adversarially trained ones.

    Columns are pruning and quantization. Solid lines are robust accuracy, dashed lines clean accuracy, and error bars
    one standard deviation over seeds. Grey lines are the base of the row's first arm, before compression.

    Args:
        run: the run that the table is from.
        table: the table of `analysis.tables.grid.grid_table`, not empty.

    Returns:
        The content of a PNG file.
    """
    info = run.info
    rows: dict[str, list[str]] = {}
    for arm in _arms(info, table):
        rows.setdefault("ordinary base" if arm["ordinary"] else "adversarially trained base", []).append(arm["base"])
    axes_names = [axis for axis in AXES if axis in set(table["axis"])]
    colours = {arm["name"]: COLOURS[index % len(COLOURS)] for index, arm in enumerate(_arms(info, table))}
    figure = Figure(figsize=(5.2 * len(axes_names), 3.9 * len(rows)), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(len(rows), len(axes_names), squeeze=False, sharey=True)
    for row, (kind, bases) in enumerate(rows.items()):
        for column, axis in enumerate(axes_names):
            panel = panels[row, column]
            part = table[table["base"].isin(bases) & (table["axis"] == axis)]
            _draw_panel(panel, part, axis, colours)
            _draw_base(panel, _trials(run, info["grid"]["bases"][bases[0]]))
            panel.set_title(f"{kind}, {axis}")
            if column == 0:
                panel.set_ylabel("accuracy")
    _legend(figure, info, table, colours)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_panel(panel: Axes, part: pd.DataFrame, axis: str, colours: dict[str, str]) -> None:
    levels = sorted(set(part["level"]), reverse=axis == "quantization")  # compression grows to the right
    for arm, line in part.groupby("arm", sort=False):
        places = [levels.index(level) for level in line["level"]]
        order = np.argsort(places)
        for value, style in (("clean", "--"), ("robust", "-")):
            panel.errorbar(
                np.array(places)[order],
                line[value].to_numpy()[order],
                yerr=line[f"{value}_sd"].fillna(0).to_numpy()[order],
                fmt=f"o{style}",
                markerfacecolor="white" if value == "clean" else None,
                color=colours[str(arm)],
                markersize=3.5,
                capsize=2,
                linewidth=1.3 if value == "robust" else 0.9,
                alpha=1.0 if value == "robust" else 0.7,
            )
    panel.set_xticks(range(len(levels)), [f"{level:.0%}" if axis == "pruning" else f"{level:g}" for level in levels])
    panel.set_xlabel(AXES[axis])
    panel.set_ylim(0, 1)
    panel.grid(alpha=0.3)


def _draw_base(panel: Axes, trials: Sequence[Trial]) -> None:
    for name, style in (("clean_accuracy", "--"), ("robust_accuracy", "-")):
        if trials:
            mean = float(np.mean([trial.metrics[name] for trial in trials]))
            panel.axhline(mean, color="#9ca3af", linewidth=0.9, linestyle=style, zorder=0)


def _legend(figure: Figure, info: dict[str, Any], table: pd.DataFrame, colours: dict[str, str]) -> None:
    threat, attack = info["threat_model"], attack_words(info["evaluation"])
    lines = [
        Line2D([], [], color=colours[arm["name"]], marker="o", markersize=4, label=arm["name"] + SCORES[arm["score"]])
        for arm in _arms(info, table)
    ]
    radius = radius_words(threat["epsilon"], digits=4)
    lines += [
        Line2D([], [], color="#374151", label=f"robust ({attack}, ε = {radius})"),
        Line2D([], [], color="#374151", linestyle="--", label="clean"),
        Line2D([], [], color="#9ca3af", label="the base before compression"),
    ]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, fontsize=8, frameon=False)


def _arms(info: dict[str, Any], table: pd.DataFrame) -> list[dict[str, Any]]:
    shown = set(table["arm"])
    return [arm for arm in info["grid"]["arms"] if arm["name"] in shown]


def _trials(run: Run, identities: Sequence[str]) -> list[Trial]:
    return [trial for trial in map(run.finished, identities) if trial is not None]
