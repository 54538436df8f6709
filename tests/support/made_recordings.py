"""Made-up recordings of a small finite space: each curve is a closed form of what was chosen; nothing is trained."""

import json
import math
from collections.abc import Mapping
from typing import Any

from search.recipes.fixed import FixedRecipes
from search.simulation.recording import Curve, Recording
from search.study.loading import load
from search.study.space import BASE
from search.study.study import Study
from tests.support.recipes import combinations

PRETRAINING = 5e10  # FLOPs
PREPARATION = 0.25  # seconds
REFERENCE = 8e11  # marginal FLOPs of the reference

_PGD, _FAST = "{kind: pgd, epsilon: 0.2, steps: 7}", "{kind: n_fgsm, epsilon: 0.2}"
FINITE = [
    "space.compression={pruning_ratio: {low: 0.2, high: 0.8, step: 0.2}, scope: [uniform]}",
    "space.perturbation={kind: [n_fgsm, pgd], epsilon: {low: 0.1, high: 0.2, levels: 2}, "
    "steps: {low: 2, high: 5, levels: 2}}",
    "space.schedule={epochs: {low: 4, high: 16, log: true, levels: 3}, "
    "learning_rate: {low: 0.02, high: 0.08, levels: 2}}",
    f"""baselines=[
        {{name: pgd_at_10, perturbation: {_PGD}, schedule: {{epochs: 10, learning_rate: 0.1}}}},
        {{name: fast_at_10, perturbation: {_FAST}, schedule: {{epochs: 10, learning_rate: 0.1}}}}
    ]""",
    "reference=pgd_at_10",
    "budget={trials: 144}",
]
COUNT = 4 * (1 + 2) * 2 * 3 * 2  # recipes: ratios × (N-FGSM, PGD of two lengths) × radii × epochs × rates


def finite(*settings: str) -> Study:
    """The study of that space, changed by settings."""
    return load("digits", [*FINITE, *settings])


def passes(params: Mapping[str, Any]) -> int:
    """Of the network, for one step of training."""
    return int(params.get("attack_steps", 0)) + 2


def flops(params: Mapping[str, Any]) -> float:
    """Marginal FLOPs of a proposal."""
    return float(1e10 * params["epochs"] * passes(params) * (1 - params["pruning_ratio"]))


def accuracy(params: Mapping[str, Any]) -> float:
    """Final robust accuracy of a proposal: more with compute, with diminishing returns."""
    rate = math.log2(params["learning_rate"] / 0.08) / 2  # -1 or 0
    shortfall = 0.6 * math.exp(-params["epochs"] / 4) + 0.3 * params["pruning_ratio"] ** 2 + 0.2 / passes(params)
    return float(0.85 - shortfall + 0.1 * rate - abs(params["epsilon"] - 0.2))


def clean(params: Mapping[str, Any]) -> float:
    """Final clean accuracy of a proposal: at least 0.9 unless 80% of the channels are gone."""
    return 0.99 if params["pruning_ratio"] < 0.7 else 0.8


def curve(epochs: int, robust: float, marginal: float, clean: float = 0.95) -> Curve:
    """One that rises evenly to the final accuracy; an epoch takes a second for each 1e11 FLOPs, and 0.125 more."""
    rows = tuple(
        {
            "epoch": epoch,
            "clean_accuracy": clean,
            "robust_accuracy": robust * (0.5 + 0.5 * epoch / epochs),
            "planned_train_flops": marginal,
            "planned_end_to_end_flops": marginal + PRETRAINING,
            "train_flops": marginal * epoch / epochs,
            "end_to_end_flops": marginal * epoch / epochs + PRETRAINING,
            "seconds": 0.125 + marginal / epochs / 1e11,
        }
        for epoch in range(1, epochs + 1)
    )
    metrics = {
        "clean_accuracy": clean,
        "robust_accuracy": robust,
        "train_flops": marginal,
        "end_to_end_flops": marginal + PRETRAINING,
    }
    return Curve(rows, None, metrics, PREPARATION)


def made(study: Study) -> Recording:
    """The recording of a study of this space, or of a part of it."""
    curves = {}
    for fixed in FixedRecipes.of(study):
        robust, cost = {BASE: (0.05, 0.0), "pgd_at_10": (0.8, REFERENCE)}.get(fixed.name, (0.7, REFERENCE / 4))
        curves[fixed.name] = curve(fixed.recipe.schedule.epochs, robust, cost)
    for params in combinations(study):
        key = json.dumps(params, sort_keys=True)
        curves[key] = curve(params["epochs"], accuracy(params), flops(params), clean(params))
    return Recording(study, curves)


def seconds(curve: Curve) -> float:
    """That a recipe takes from its preparation to its last epoch."""
    return curve.preparation + sum(float(row["seconds"]) for row in curve.rows)
