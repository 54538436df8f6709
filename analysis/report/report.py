"""Writes the report of a run: report.html, which works offline, and the frontier, tables and figures beside it."""

import io

from analysis.evidence import words
from analysis.evidence.comparisons import confirmed
from analysis.evidence.confirmation import CONFIRMATIONS, VERDICT, read_confirmations
from analysis.export.recipes import record
from analysis.pareto.frontier import frontier
from analysis.pareto.reference_point import least_of
from analysis.report.epsilon_curves import draw_epsilon_curves_png
from analysis.report.frontier_chart import draw_frontier_png
from analysis.report.grid_chart import draw_grid_png
from analysis.report.page import render
from analysis.run.trials import Run
from analysis.tables.grid import grid_table
from analysis.tables.rungs import rung_table
from analysis.tables.trials import curves, finished, on_frontier, recipes

CURVES = "epsilon_curves.png"  # in the folder of a confirmation


TABLES = ("trials.parquet", "recipes.parquet")


def write_report(run: Run, *, tables: bool = True) -> None:
    """Rebuild trials.parquet, recipes.parquet, frontier.json, frontier.csv, figures/frontier.png and report.html.

    If the study has a grid, also grid.csv and figures/grid.png; if it has halving, also rungs.csv; of each
    confirmation, its verdict.json and epsilon_curves.png.

    Args:
        run: the run.
        tables: False leaves trials.parquet and recipes.parquet as they are, which hold every trial; the caller knows
            that they were made of the same record.
    """
    proven = confirmed(run)
    table = finished(run, proven)
    members = on_frontier(table, run)
    for name, made in zip(TABLES, (curves, recipes), strict=True) if tables else ():
        buffer = io.BytesIO()
        made(run).to_parquet(buffer)
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
