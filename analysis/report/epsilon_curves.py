"""Accuracy by epsilon of what was confirmed, as numbers and drawn: how networks do in smaller and in wider balls."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.evidence.confirmation import Confirmation, Part
from trainables.evaluation.config import threat_words

STYLES = {"pick": "-", "against": "--", "opponent": ":"}
COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7c3aed", "#0e7490", "#be185d")


@dataclass(frozen=True)
class EpsilonCurve:
    """One entry's accuracy on the test split by epsilon, over its seeds.

    Attributes:
        name: what the entry is called.
        part: what it is in the confirmation.
        epsilons: of the attack, from 0, which is none.
        means: accuracy at each, 0–1.
        spreads: standard deviation over the seeds at each; empty where there is one seed.
    """

    name: str
    part: Part
    epsilons: Sequence[float]
    means: Sequence[float]
    spreads: Sequence[float]


def epsilon_curves(confirmation: Confirmation) -> list[EpsilonCurve]:
    """Return the curve of each entry; empty where no conditions were measured."""
    curves, epsilon = [], confirmation.setting.threat_model.epsilon
    for entry in confirmation.entries:
        found = [confirmation.conditions[key] for key in confirmation.conditions if key[0] == entry.name]
        if found:
            accuracies = np.array([[one.clean, *one.by_epsilon.values()] for one in found])
            at = [multiple * epsilon for multiple in (0.0, *found[0].by_epsilon)]
            spreads = accuracies.std(axis=0, ddof=1).tolist() if len(found) > 1 else []
            curves.append(EpsilonCurve(entry.name, entry.part, at, accuracies.mean(axis=0).tolist(), spreads))
    return curves


def draw_epsilon_curves_png(confirmation: Confirmation) -> bytes | None:
    """Return the content of a PNG file; None where no conditions were measured.

    A line is the mean over an entry's seeds, the band around it one standard deviation.
    """
    curves = epsilon_curves(confirmation)
    if not curves:
        return None
    threat = confirmation.setting.threat_model
    figure = Figure(figsize=(7.2, 4.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for place, curve in enumerate(curves):
        colour, mean = COLOURS[place % len(COLOURS)], np.array(curve.means)
        panel.plot(curve.epsilons, mean, STYLES[curve.part], color=colour, marker="o", markersize=3.5, label=curve.name)
        if curve.spreads:
            low, high = mean - curve.spreads, mean + curve.spreads
            panel.fill_between(curve.epsilons, low, high, color=colour, alpha=0.12, linewidth=0)
    panel.axvline(threat.epsilon, color="#9ca3af", linewidth=0.9, zorder=0)
    panel.text(threat.epsilon, 1.005, " ε of the threat model", color="#6b7280", fontsize=8, va="bottom")
    panel.set_xlabel(axis_words(confirmation))
    panel.set_ylabel("accuracy, test split")
    panel.set_ylim(0, 1)
    panel.set_xlim(left=0)
    panel.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def axis_words(confirmation: Confirmation) -> str:
    """Return what the axis of epsilons is of."""
    return f"ε of the attack ({threat_words(confirmation.setting.threat_model).split()[0]}, PGD on two losses)"
