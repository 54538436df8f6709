"""The frontier as a picture (PNG) and as an interactive figure (HTML), both drawn from one table."""

import io
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

COLOURS = {"baseline": "#c2410c", "proposed": "#1d4ed8", "confirm": "#15803d"}


def draw_frontier_png(table: pd.DataFrame, info: dict[str, Any]) -> bytes:
    """Robust accuracy against marginal training compute (log), with the frontier as a step line.

    Args:
        table: of `analysis.frontier.finished`, may be empty.
        info: the run's run.json.
    """
    figure = Figure(figsize=(8, 5), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for role, colour in COLOURS.items():
        part = table[table["role"] == role] if len(table) else table
        if len(part):
            axes.errorbar(
                part["train_flops"],
                part["robust_accuracy"],
                yerr=part["robust_accuracy_stderr"],
                fmt="D" if role == "baseline" else "o",
                color=colour,
                label=role,
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
    if len(table):
        members = table[table["on_frontier"]].sort_values("train_flops")
        axes.step(members["train_flops"], members["robust_accuracy"], where="post", color="#555", linewidth=1)
        axes.set_xscale("log")
        axes.legend(loc="upper left")
    axes.set_xlabel("marginal training compute (FLOPs)")
    axes.set_ylabel(f"robust accuracy (PGD-{info['evaluation']['steps']}, ± standard error)")
    threat = info["threat_model"]
    axes.set_title(f"{info['study']}: {threat['norm']} ε = {threat['epsilon']:g}".replace("$", r"\$"))
    axes.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def draw_frontier_html(table: pd.DataFrame, info: dict[str, Any]) -> str:
    """The same as an interactive figure (a div without plotly.js), marginal or end-to-end by a button."""
    figure = go.Figure()
    by_axis: dict[str, list[list[float]]] = {"train_flops": [], "end_to_end_flops": []}
    groups = [(role, table[table["role"] == role]) for role in COLOURS] if len(table) else []
    for role, part in groups:
        if not len(part):
            continue
        hover = [
            f"{escape(row['recipe'])}<br>{escape(row['id'])}<br>robust {row['robust_accuracy']:.3f} ± "
            f"{row['robust_accuracy_stderr']:.3f}, clean {row['clean_accuracy']:.3f}<br>"
            f"{row['train_flops']:.3g} FLOPs marginal, {row['end_to_end_flops']:.3g} end-to-end"
            for _, row in part.iterrows()
        ]
        for axis, values in by_axis.items():
            values.append(part[axis].tolist())
        figure.add_scatter(
            x=part["train_flops"].tolist(),
            y=part["robust_accuracy"].tolist(),
            error_y={"array": part["robust_accuracy_stderr"].tolist(), "thickness": 0.7},
            mode="markers",
            name=role,
            text=hover,
            hoverinfo="text",
            marker={
                "color": COLOURS[role],
                "size": [12 if member else 7 for member in part["on_frontier"]],
                "symbol": "diamond" if role == "baseline" else "circle",
            },
        )
    buttons = [
        {"label": label, "method": "update", "args": [{"x": by_axis[axis]}, {"xaxis.title.text": f"{label} (FLOPs)"}]}
        for label, axis in (("marginal compute", "train_flops"), ("end-to-end compute", "end_to_end_flops"))
    ]
    figure.update_layout(
        template="plotly_white",
        height=520,
        xaxis={"type": "log", "title": "marginal compute (FLOPs)"},
        yaxis={"title": f"robust accuracy, PGD-{info['evaluation']['steps']}"},
        updatemenus=[
            {"buttons": buttons, "type": "buttons", "direction": "right", "x": 0, "y": 1.12, "xanchor": "left"}
        ],
        margin={"t": 60},
    )
    return str(figure.to_html(full_html=False, include_plotlyjs=False))
