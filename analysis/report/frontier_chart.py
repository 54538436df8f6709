"""Draws the frontier as a picture (PNG) and as an interactive figure (HTML), both from one table."""

import io
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.pareto.dominance import non_dominated
from analysis.pareto.frontier import CANDIDATES
from trainables.evaluation.config import attack_words
from trainables.value_forms import radius_words

COLOURS = {"baseline": "#c2410c", "grid": "#7c3aed", "proposed": "#1d4ed8", "confirm": "#15803d"}
OUTSIDE = "#9ca3af"  # grey, of proposals and grid recipes outside the region that the study asks for
NORMS = {"linf": "L∞", "l2": "L2"}
ESTIMATED = "estimated_robust_accuracy"
MOST_BARS = 2_000  # marks of a role, above which error bars would hide each other, and take seconds to draw


def staircase(table: pd.DataFrame, compute: str) -> pd.DataFrame:
    """Return the points of the frontier's line: those not dominated in robust accuracy and compute, cheapest first.

    Baselines, grid recipes and proposals that may be on a frontier count; bases and confirmations do not. Where the
    search has a model, proposals lie at its estimates, by which the frontier is found; the charts' marks stay where
    they were measured.

    Args:
        table: the table of `analysis.tables.trials.finished`, which may be empty.
        compute: its column of compute, `train_flops` or `end_to_end_flops`.

    Returns:
        Two columns, compute (FLOPs) and robust_accuracy (0–1), both strictly rising.
    """
    if not len(table):
        return pd.DataFrame({compute: [], "robust_accuracy": []})
    robust = table[ESTIMATED].fillna(table["robust_accuracy"]) if ESTIMATED in table else table["robust_accuracy"]
    plane = pd.DataFrame({compute: table[compute], "robust_accuracy": robust})
    plane = plane[table["role"].isin(CANDIDATES) & table["eligible"]].drop_duplicates()
    costs = plane.to_numpy(dtype=np.float64) * np.array([1.0, -1.0])
    return plane[non_dominated(costs)].sort_values(compute).reset_index(drop=True)


def title(info: dict[str, Any]) -> str:
    """Return the title of a chart: the study and its threat model.

    Args:
        info: the run's run.json.
    """
    threat = info["threat_model"]
    return f"{info['study']}: {NORMS[threat['norm']]} ε = {radius_words(threat['epsilon'], digits=4)}"


def draw_frontier_png(table: pd.DataFrame, info: dict[str, Any], least: float | None = None) -> bytes:
    """Draw robust accuracy against marginal training compute (log scale), with the frontier as a step line.

    Args:
        table: the table of `analysis.tables.trials.finished`, which may be empty.
        info: the run's run.json.
        least: the least robust accuracy of the region that the study asks for, below which the chart is grey; None: it
            is not known.

    Returns:
        The content of a PNG file.
    """
    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for role, colour in COLOURS.items():
        part = table[table["role"] == role] if len(table) else table
        for inside, rows in _by_region(part, role):
            axes.errorbar(
                rows["train_flops"],
                rows["robust_accuracy"],
                yerr=rows["robust_accuracy_stderr"] if len(rows) <= MOST_BARS else None,
                fmt="D" if role == "baseline" else "o",
                color=colour if inside else OUTSIDE,
                label=role if inside else f"{role}, outside",
                elinewidth=0.7,
                markersize=5,
                alpha=0.85,
            )
        for _, row in part.iterrows() if role == "baseline" else ():
            axes.annotate(
                str(row["name"]),
                (row["train_flops"], row["robust_accuracy"]),
                textcoords="offset points",
                xytext=(-6, 6),
                ha="right",
                fontsize=8,
            )
    steps = staircase(table, "train_flops")
    if len(steps):
        axes.step(steps["train_flops"], steps["robust_accuracy"], where="post", color="#555", linewidth=1, zorder=0)
        axes.set_xscale("log")
        axes.legend(loc="upper left")
    if least is not None and len(table):
        axes.set_ylim(axes.get_ylim())  # the band reaches the edges, and does not move them
        axes.axhspan(-1.0, least, color=OUTSIDE, alpha=0.12, linewidth=0, zorder=-1)
    axes.set_xlabel("marginal training compute (FLOPs)")
    axes.set_ylabel(f"robust accuracy ({attack_words(info['evaluation'])}, ± standard error)")
    axes.set_title(title(info).replace("$", r"\$"))
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _by_region(part: pd.DataFrame, role: str) -> list[tuple[bool, pd.DataFrame]]:
    """Split a role's rows by whether they lie in the region; baselines, which bound it, are not split."""
    if not len(part):
        return []
    inside = part["in_region"] | (role == "baseline")
    return [(here, rows) for here, rows in ((True, part[inside]), (False, part[~inside])) if len(rows)]


def frontier_figure(table: pd.DataFrame, info: dict[str, Any], least: float | None = None) -> go.Figure:
    """Draw the same as a figure of Plotly's, in which a button switches between marginal and end-to-end compute.

    Args:
        table: as for `draw_frontier_png`.
        info: the run's run.json.
        least: as for `draw_frontier_png`.
    """
    figure = go.Figure()
    steps = {axis: staircase(table, axis) for axis in ("train_flops", "end_to_end_flops")}
    columns = {axis: [part[axis].tolist()] for axis, part in steps.items()}  # x of each trace, by axis
    rows = {axis: [part["robust_accuracy"].tolist()] for axis, part in steps.items()}  # y of each trace, by axis
    figure.add_scatter(
        x=columns["train_flops"][0],
        y=rows["train_flops"][0],
        mode="lines",
        name="frontier, as estimated" if ESTIMATED in table else "frontier",
        line={"shape": "hv", "color": "#555", "width": 1},
        hoverinfo="skip",
    )
    for role, colour in COLOURS.items():
        part = table[table["role"] == role] if len(table) else table
        for inside, points in _by_region(part, role):
            for axis in steps:
                columns[axis].append(points[axis].tolist())
                rows[axis].append(points["robust_accuracy"].tolist())
            figure.add_scatter(
                x=columns["train_flops"][-1],
                y=rows["train_flops"][-1],
                error_y={"array": points["robust_accuracy_stderr"].tolist(), "thickness": 0.7},
                mode="markers+text" if role == "baseline" else "markers",
                name=role if inside else f"{role}, outside",
                text=[escape(str(name)) for name in points["name"]] if role == "baseline" else None,
                textposition="top left",
                hovertext=[_hover(row) for _, row in points.iterrows()],
                hoverinfo="text",
                marker={
                    "color": colour if inside else OUTSIDE,
                    "size": [12 if member else 7 for member in points["on_frontier"]],
                    "symbol": "diamond" if role == "baseline" else "circle",
                },
            )
    buttons = [
        {
            "label": f"{label} compute",
            "method": "update",
            "args": [{"x": columns[axis], "y": rows[axis]}, {"xaxis.title.text": f"{label} training compute (FLOPs)"}],
        }
        for label, axis in (("marginal", "train_flops"), ("end-to-end", "end_to_end_flops"))
    ]
    if least is not None and len(table):
        figure.add_hrect(
            y0=0, y1=least, fillcolor=OUTSIDE, opacity=0.12, line_width=0, layer="below",
            annotation={"text": f"outside the region: below {least:.3f}", "font": {"size": 11}},
            annotation_position="bottom left",
        )  # fmt: skip
    figure.update_layout(
        template="plotly_white",
        height=520,
        xaxis={"type": "log", "title": "marginal training compute (FLOPs)", "exponentformat": "power", "dtick": 1},
        yaxis={"title": f"robust accuracy, {attack_words(info['evaluation'])}"},
        updatemenus=[
            {"buttons": buttons, "type": "buttons", "direction": "right", "x": 0, "y": 1.12, "xanchor": "left"}
        ],
        margin={"t": 60},
    )
    return figure


def _hover(row: "pd.Series[Any]") -> str:
    value = row.get(ESTIMATED, np.nan)
    estimated = "" if np.isnan(value) else f" (estimated {value:.3f} ± {row[f'{ESTIMATED}_stderr']:.3f})"
    return (
        f"{escape(row['recipe'])}<br>{escape(row['id'])}<br>robust {row['robust_accuracy']:.3f} ± "
        f"{row['robust_accuracy_stderr']:.3f}{estimated}, clean {row['clean_accuracy']:.3f}<br>"
        f"{row['train_flops']:.3g} FLOPs marginal, {row['end_to_end_flops']:.3g} end-to-end"
    )
