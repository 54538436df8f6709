"""Renders the report as one HTML page that works offline: texts by a template, charts and tables by scripts."""

import json
import math
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib.resources import files
from typing import Any

import pandas as pd
from jinja2 import Environment
from plotly.offline import get_plotlyjs

from analysis.evidence import words
from analysis.evidence.conditions import cell, conditions_of
from analysis.evidence.confirmation import Confirmation
from analysis.evidence.rows import broken_by, rows
from analysis.pareto.frontier import OURS
from analysis.pareto.parity import verdict
from analysis.report.epsilon_curves import axis_words, epsilon_curves
from analysis.report.frontier_chart import NORMS, title
from analysis.report.page_data import PARAM, endings, page_data, shortened
from analysis.run.trials import Run
from analysis.status.words import left_unfinished, still_running
from analysis.tables.rungs import rung_rows, rung_table
from trainables.evaluation.config import attack_words, threat_words
from trainables.user_code import TORCHVISION, is_reference
from trainables.value_forms import radius_words

SCRIPTS = (
    "state",
    "labels",
    "frontier",
    "pinned",
    "attacked",
    "table",
    "charts",
    "epsilons",
    "start",
)  # in the order in which they build on each other


def render(run: Run, table: pd.DataFrame, grid: bytes | None, confirmations: Sequence[Confirmation] = ()) -> str:
    """Return the report as one HTML page, in which every text out of the run is escaped.

    Args:
        run: the run.
        table: its table of `analysis.tables.trials.finished`.
        grid: the PNG file of its grid; None: it has no grid.
        confirmations: its confirmations.
    """
    environment = Environment(autoescape=True)
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # not sorted: the first is the chief one
    template = environment.from_string(_asset("page.html.j2"))
    data = page_data(run, table) | {"epsilons": [_epsilons(one) for one in confirmations]}
    return template.render(
        style=_asset("page.css"),
        plotly_js=get_plotlyjs(),
        script="(() => {\n" + "\n".join(_asset(f"{name}.js") for name in SCRIPTS) + "})();",
        data=data | {"values": shortened(data["values"])},
        hidden=len(run.trials) > len(data["values"]["id"]),
        searched=len(data["growth"]["trials"]) > 0,
        parameters=any(one["key"].startswith(PARAM) for one in data["columns"]) and len(table) > 0,
        info=run.info,
        title=title(run.info),
        attack=attack_words(run.info["evaluation"]),
        verdict=verdict(run),
        any_found=bool((table["on_frontier"] & table["role"].isin(OURS)).any()),
        grid=b64encode(grid).decode() if grid else None,
        confirmations=[_confirmation(one) for one in confirmations],
        estimated=any(trial.estimate for trial in run.trials),
        not_estimated=run.not_estimated,
        rungs=rung_rows(rung_table(run)),
        endings=endings(run),
        found=run.info.get("network_findings", []),  # older runs have no such key
        unreadable=run.unreadable,
        left_out=run.left_out,
        running=still_running(run),
        unfinished=left_unfinished(run),
        conditions=list(_circumstances(run)),
        command=run.info["provenance"].get("command"),
        provenance=json.dumps(run.info["provenance"], indent=1),
    )


def _asset(name: str) -> str:
    return (files("analysis.report") / "assets" / name).read_text(encoding="utf-8")


def _circumstances(run: Run) -> Iterator[tuple[str, str]]:
    """Yield what the numbers of the search are of: name and words."""
    info = run.info
    threat = info["threat_model"]
    radius = radius_words(threat["epsilon"], digits=4)
    yield "norm and ε", f"{NORMS[threat['norm']]}, {radius} for pixels from 0 to 1"
    yield "attack of the search", attack_words(info["evaluation"])
    reference = next((trial for trial in run.trials if trial.id == info["reference"]), None)
    if reference is not None:
        yield "data", _settings(reference.recipe["data"])
        yield "network", _settings(_of_network(reference.recipe["model"]))
        yield "reference", f"{reference.name} ({reference.id})"
    yield "objectives", ", ".join(f"{one['metric']} {one['direction']}" for one in info["objectives"])


def _of_network(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a network without those that say nothing of it: the user's normalizes pixels itself."""
    name = settings["name"]
    unused = {"normalization"} if is_reference(name) and not name.startswith(TORCHVISION) else set()
    if name != "wide_resnet":
        unused |= {"depth", "width"}
    return {key: value for key, value in settings.items() if key not in unused}


def _settings(settings: dict[str, Any]) -> str:
    """Return a part of a recipe in a line; what is not set is left out."""
    return ", ".join(f"{key} {value}" for key, value in settings.items() if value not in (None, [], {}))


def _confirmation(one: Confirmation) -> dict[str, Any]:
    """Return what the page shows of one confirmation."""
    return {
        "number": one.number,
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
        "broken": _broken(one),
        "conditions": _conditions(one),
        "names": [entry.name for entry in one.entries],
        "curves": len(epsilon_curves(one)) > 0,
    }


def _epsilons(one: Confirmation) -> dict[str, Any]:
    """Return the curves of one confirmation as the page's script draws them."""
    return {
        "number": one.number,
        "epsilon": one.setting.threat_model.epsilon,
        "words": axis_words(one),
        "curves": [asdict(curve) for curve in epsilon_curves(one)],
    }


def _broken(one: Confirmation) -> list[tuple[str, list[str]]]:
    """Return the name of each attack, and for each entry the share of images that it broke."""
    names = [entry.name for entry in one.entries]
    return [
        (attack, [f"{shares[name]:.3f}" if name in shares else "" for name in names])
        for attack, shares in broken_by(one).items()
    ]


def _conditions(one: Confirmation) -> list[tuple[str, list[str]]]:
    """Return the name of each condition, and a cell for each entry."""
    found = conditions_of(one)
    return [(each.name, [cell(each, found[0], entry.name) for entry in one.entries]) for each in found]
