"""Writes a comparison as one HTML page that works offline: frontiers, hypervolume by compute, tables."""

from html import escape
from importlib.resources import files

import plotly.graph_objects as go
from jinja2 import Environment
from plotly.offline import get_plotlyjs

from analysis.comparison import words
from analysis.comparison.sides import Comparison
from analysis.pareto.frontier import estimate, metric
from analysis.pareto.parity import verdict
from analysis.run.summary import summary
from analysis.run.trials import Trial

COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7c3aed", "#0e7490", "#be185d", "#a16207", "#4b5563")
DASHES = ("solid", "dash", "dot", "dashdot")  # lines and marks differ too, for eyes that do not tell these colours
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "cross", "pentagon")


def page(comparison: Comparison) -> str:
    """Return a comparison as an HTML page, in which every text out of the runs is escaped."""
    template = Environment(autoescape=True).from_string(
        (files("analysis.comparison") / "page.html.j2").read_text(encoding="utf-8")
    )
    return template.render(
        names=[side.name for side in comparison.sides],
        heading=words.heading(comparison),
        verdicts=[(side.name, verdict(side.run)) for side in comparison.sides],
        tables=[words.table(comparison), words.differing(comparison)],
        estimated=any(trial.estimate for side in comparison.sides for trial in side.frontier),
        figures=[_html(frontiers(comparison)), _html(growths(comparison))],
        plotly_js=get_plotlyjs(),
    )


def frontiers(comparison: Comparison) -> go.Figure:
    """Return the frontiers of all runs over each other; what no recipe of any run dominates is filled.

    Marks lie where recipes were measured, lines where the searches' models estimate them, as in a run's own report.
    """
    figure = go.Figure()
    for number, side in enumerate(comparison.sides):
        members = side.frontier
        alike = {"x": [metric(trial, comparison.compute) for trial in members], "legendgroup": str(number)}
        colour = _of(COLOURS, number)
        figure.add_scatter(
            **alike,
            y=[estimate(trial, "robust_accuracy") for trial in members],
            mode="lines",
            line={"color": colour, "dash": _of(DASHES, number), "shape": "hv"},
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            **alike,
            y=[metric(trial, "robust_accuracy") for trial in members],
            name=escape(side.name),
            mode="markers",
            marker={"symbol": [_symbol(number, one.id in side.joint) for one in members], "size": 9, "color": colour},
            text=[f"{trial.id[:8]}: {escape(summary(trial.recipe))}{_estimated(trial)}" for trial in members],
            hovertemplate="%{text}<br>%{y:.3f} for %{x:.3g} FLOPs",
        )
    figure.add_hrect(y0=0, y1=float(comparison.point[0]), fillcolor="#9ca3af", opacity=0.15, line_width=0)
    figure.update_xaxes(type="log", title="training FLOPs")
    figure.update_yaxes(title="robust accuracy")
    return _styled(figure)


def growths(comparison: Comparison) -> go.Figure:
    """Return how the hypervolume of each run grew with the compute of its proposals."""
    figure = go.Figure()
    for number, side in enumerate(comparison.sides):
        figure.add_scatter(
            x=side.growth.flops.tolist(),
            y=side.growth.hypervolume.tolist(),
            name=escape(side.name),
            mode="lines",
            line={"color": _of(COLOURS, number), "dash": _of(DASHES, number), "shape": "hv"},
        )
    figure.update_xaxes(title="training FLOPs of all proposals so far")
    figure.update_yaxes(title="hypervolume", rangemode="tozero")
    return _styled(figure)


def _estimated(trial: Trial) -> str:
    """Return what a search's model makes of a recipe's robust accuracy, as a line of a hover box."""
    found = trial.estimate.get("robust_accuracy")
    return "" if found is None else f"<br>estimated {found:.3f}"


def _of(some: tuple[str, ...], number: int) -> str:
    return some[number % len(some)]


def _symbol(number: int, joint: bool) -> str:
    return _of(SYMBOLS, number) + ("" if joint else "-open")


def _styled(figure: go.Figure) -> go.Figure:
    above = {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"}  # beside it, a phone has no room for both
    figure.update_layout(template="plotly_white", height=440, legend=above, margin={"l": 60, "r": 20, "t": 20, "b": 50})
    return figure


def _html(figure: go.Figure) -> str:
    return str(figure.to_html(full_html=False, include_plotlyjs=False, config={"responsive": True}))
