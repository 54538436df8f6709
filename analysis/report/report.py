"""Writes the report of a run: report.html, which works offline, and the frontier, tables and figures beside it."""

import io
import json
import math
from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment
from plotly.offline import get_plotlyjs

from analysis.evidence import words
from analysis.evidence.comparisons import confirmed
from analysis.evidence.conditions import cell, conditions_of
from analysis.evidence.confirmation import CONFIRMATIONS, VERDICT, Confirmation, read_confirmations
from analysis.evidence.rows import rows
from analysis.export.recipes import record
from analysis.pareto.frontier import frontier
from analysis.pareto.parity import verdict
from analysis.pareto.reference_point import least_of
from analysis.report.epsilon_curves import draw_epsilon_curves_png
from analysis.report.frontier_chart import draw_frontier_html, draw_frontier_png, title
from analysis.report.grid_chart import draw_grid_png
from analysis.run.status import left_unfinished
from analysis.run.summary import summary
from analysis.run.trials import Run, Trial
from analysis.tables.grid import grid_table
from analysis.tables.rungs import rung_rows, rung_table
from analysis.tables.trials import curves, finished, recipes
from trainables.evaluation.config import attack_words, threat_words
from trainables.evaluation.remarks import remarks

CURVES = "epsilon_curves.png"  # in the folder of a confirmation


def write_report(run: Run) -> None:
    """Rebuild trials.parquet, recipes.parquet, frontier.json, frontier.csv, figures/frontier.png and report.html.

    If the study has a grid, also grid.csv and figures/grid.png; if it has halving, also rungs.csv; of each
    confirmation, its verdict.json and epsilon_curves.png.
    """
    proven = confirmed(run)
    table = finished(run, proven)
    members = table[table["on_frontier"]].sort_values("train_flops") if len(table) else table
    for name, content in (("trials.parquet", curves(run)), ("recipes.parquet", recipes(run))):
        buffer = io.BytesIO()
        content.to_parquet(buffer)
        run.folder.write(name, buffer.getvalue())
    run.folder.write_json("frontier.json", [record(run, trial, proven) for trial in frontier(run)])
    run.folder.write("frontier.csv", members.to_csv(index=False).encode())
    run.folder.child("figures").write("frontier.png", draw_frontier_png(table, run.info, least_of(run)))
    grid = grid_table(run)
    picture = draw_grid_png(run, grid) if len(grid) else None
    if picture:
        run.folder.write("grid.csv", grid.to_csv(index=False).encode())
        run.folder.child("figures").write("grid.png", picture)
    rungs = rung_table(run)
    if len(rungs):
        run.folder.write("rungs.csv", rungs.to_csv(index=False).encode())
    confirmations = read_confirmations(run)
    for one in confirmations:
        folder = run.folder.child(CONFIRMATIONS, str(one.number))
        folder.write_json(VERDICT, words.as_json(one))
        if (curves_png := draw_epsilon_curves_png(one)) is not None:
            folder.write(CURVES, curves_png)
    run.folder.write("report.html", render(run, table, picture, confirmations).encode())


def render(run: Run, table: pd.DataFrame, grid: bytes | None, confirmations: Sequence[Confirmation] = ()) -> str:
    """Return the report as one HTML page, in which every text out of the run is escaped.

    Args:
        run: the run.
        table: its table of `analysis.tables.trials.finished`.
        grid: the PNG file of its grid; None: it has no grid.
        confirmations: its confirmations.
    """
    template = Environment(autoescape=True).from_string(
        (files("analysis.report") / "report.html.j2").read_text(encoding="utf-8")
    )
    tables = []
    if len(table):
        tables = [
            ("Frontier", _rows(table[table["on_frontier"]])),
            ("Base and baselines", _rows(table[table["role"].isin(["base", "baseline"])])),
        ]
    return template.render(
        info=run.info,
        title=title(run.info),
        attack=attack_words(run.info["evaluation"]),
        verdict=verdict(run),
        plotly_js=get_plotlyjs(),
        figure=draw_frontier_html(table, run.info, least_of(run)),
        grid=b64encode(grid).decode() if grid else None,
        tables=tables,
        confirmations=[_confirmation(one) for one in confirmations],
        estimated=any(trial.estimate for trial in run.trials),
        not_estimated=run.not_estimated,
        rungs=rung_rows(rung_table(run)),
        trials=[_trial(trial) for trial in run.trials],
        found=run.info.get("network_findings", []),  # older runs have no such key
        unreadable=run.unreadable,
        left_out=run.left_out,
        unfinished=left_unfinished(run),
        provenance=json.dumps(run.info["provenance"], indent=1),
    )


def _confirmation(one: Confirmation) -> dict[str, Any]:
    """Return what the page shows of one confirmation."""
    png = draw_epsilon_curves_png(one)
    return {
        "heading": words.progress(one),
        "threat": threat_words(one.setting.threat_model),
        "sentences": [*words.sentences(one), *words.unreliable(one)],
        "rows": [
            {
                "label": f"{row.entry.name}: {row.recipe}",
                "validation": f"{row.validation:.3f}",
                "scored": f"{row.scored:.3f}",
                "robust": f"{row.robust:.3f}" + (f" ± {row.spread:.3f}" if row.seeds > 1 else ""),
                "parts": "" if math.isnan(row.file) else f"surrogate {row.surrogate:.3f}, file {row.file:.3f}",
                "clean": f"{row.clean:.3f}",
                "marginal": f"{row.train_flops:.3g}",
                "end_to_end": f"{row.end_to_end_flops:.3g}",
                "macs": f"{row.mac_ratio:.1%}",
                "seeds": f"{row.seeds} of {len(one.seeds)}" + (f", {row.doubtful} unreliable" if row.doubtful else ""),
            }
            for row in rows(one)
            if row.seeds
        ],
        "conditions": _conditions(one),
        "names": [entry.name for entry in one.entries],
        "curves": None if png is None else b64encode(png).decode(),
    }


def _conditions(one: Confirmation) -> list[tuple[str, list[str]]]:
    """Return the name of each condition, and a cell for each entry."""
    found = conditions_of(one)
    return [(each.name, [cell(each, found[0], entry.name) for entry in one.entries]) for each in found]


def _trial(trial: Trial) -> dict[str, str]:
    def number(name: str, form: str) -> str:
        return format(trial.metrics[name], form) if name in trial.metrics else ""

    return {
        "label": summary(trial.recipe),
        "role": trial.name or trial.role,
        "id": trial.id,
        "state": ": ".join([trial.stands, *([trial.reason] if trial.reason else remarks(trial.metrics))]),
        "robust": number("robust_accuracy", ".3f"),
        "clean": number("clean_accuracy", ".3f"),
        "marginal": number("train_flops", ".3g"),
        "seconds": f"{trial.seconds:.1f}" if trial.seconds else "",
    }


def _estimate(row: dict[Any, Any]) -> str:
    value = row.get("estimated_robust_accuracy", math.nan)
    return "" if math.isnan(value) else f"{value:.3f} ± {row['estimated_robust_accuracy_stderr']:.3f}"


def _proven(row: dict[Any, Any]) -> str:
    value = row.get("confirmed_robust_accuracy", math.nan)
    if math.isnan(value):
        return ""
    words = f"{value:.3f} ({row['confirmed_low']:.3f}–{row['confirmed_high']:.3f})"
    return words if row["confirmed_reliable"] else f"{words}, unreliable"


def _rows(table: pd.DataFrame) -> list[dict[str, str]]:
    def cost(row: dict[Any, Any], metric: str, ratio: str) -> str:
        share = f" ({row[ratio]:.1%})" if ratio in row else ""
        return f"{row[metric]:.3g}{share}"

    return [
        {
            "label": f"{row['name']}: {row['recipe']}" if isinstance(row["name"], str) else row["recipe"],
            "robust": f"{row['robust_accuracy']:.3f} ± {row['robust_accuracy_stderr']:.3f}",
            "estimate": _estimate(row),
            "confirmed": _proven(row),
            "clean": f"{row['clean_accuracy']:.3f}",
            "marginal": cost(row, "train_flops", "marginal_ratio"),
            "end_to_end": cost(row, "end_to_end_flops", "end_to_end_ratio"),
            "macs": f"{row['inference_macs']:.3g}",
        }
        for row in table.sort_values("train_flops").to_dict("records")
    ]
