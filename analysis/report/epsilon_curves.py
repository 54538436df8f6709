"""Draws accuracy by epsilon of what was confirmed: how each network does in smaller and in wider balls."""

import io

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from analysis.evidence.confirmation import Confirmation
from trainables.evaluation.config import threat_words

STYLES = {"pick": "-", "against": "--", "opponent": ":"}
COLOURS = ("#1d4ed8", "#c2410c", "#15803d", "#7c3aed", "#0e7490", "#be185d")


def draw_epsilon_curves_png(confirmation: Confirmation) -> bytes | None:
    """Return the content of a PNG file; None where no conditions were measured.

    A line is the mean over an entry's seeds, the band around it one standard deviation.
    """
    lines = {}
    for entry in confirmation.entries:
        found = [confirmation.conditions[key] for key in confirmation.conditions if key[0] == entry.name]
        if found:
            multiples = [0.0, *found[0].by_epsilon]
            lines[entry.name] = multiples, np.array([[one.clean, *one.by_epsilon.values()] for one in found])
    if not lines:
        return None
    threat = confirmation.setting.threat_model
    figure = Figure(figsize=(7.2, 4.2), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for place, entry in enumerate(one for one in confirmation.entries if one.name in lines):
        multiples, accuracies = lines[entry.name]
        at, mean = np.array(multiples) * threat.epsilon, accuracies.mean(axis=0)
        colour = COLOURS[place % len(COLOURS)]
        panel.plot(at, mean, STYLES[entry.part], color=colour, marker="o", markersize=3.5, label=entry.name)
        if len(accuracies) > 1:
            spread = accuracies.std(axis=0, ddof=1)
            panel.fill_between(at, mean - spread, mean + spread, color=colour, alpha=0.12, linewidth=0)
    panel.axvline(threat.epsilon, color="#9ca3af", linewidth=0.9, zorder=0)
    panel.text(threat.epsilon, 1.005, " trained against", color="#6b7280", fontsize=8, va="bottom")
    panel.set_xlabel(f"ε of the attack ({threat_words(threat).split()[0]}, PGD on two losses)")
    panel.set_ylabel("accuracy, test split")
    panel.set_ylim(0, 1)
    panel.set_xlim(left=0)
    panel.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
