"""What a search on recorded curves could need at best: a model that has seen the whole table but what it predicts."""

import json

import numpy as np

from analysis.pareto.hypervolume import hypervolume
from search.recipes.choosers import RandomChooser
from search.recipes.fixed import FixedRecipes
from search.simulation.recording import Recording
from search.study.space import BASE
from search.surrogate.gaussian_process import Array, GaussianProcess, Observation
from tests.support.gains import gains_in_the_plane
from tests.support.recipes import propose

POWERS = (0.0, 0.5, 1.0)  # of compute, that the gain is divided by


def ceiling(recording: Recording, wanted: float) -> float:
    """FLOPs after which a hypervolume is reached, by the best of `POWERS`.

    Each recipe is predicted by our own model from the final scores of all others; the next one is that of the
    largest expected gain, its noise included, for its compute.
    """
    proposals = {key: curve for key, curve in recording.curves.items() if key.startswith("{") and curve.metrics}
    fixed = {one.name: recording.curves[one.name].metrics for one in FixedRecipes.of(recording.study)}
    reference = fixed[recording.study.reference]
    robust = {"reference": reference["robust_accuracy"], "base": fixed[BASE]["robust_accuracy"]}
    corner = recording.study.reference_point.point(**robust, compute=reference["train_flops"])
    assert corner is not None
    lowest, dearest = float(corner[0]), float(corner[1])
    seen = []
    for key, curve in proposals.items():
        chosen = RandomChooser(np.random.default_rng(0), json.loads(key))
        propose(chosen, recording.study)
        seen.append(Observation(chosen.features, 1.0, curve.metrics["robust_accuracy"]))
    costs = np.log10([curve.metrics["train_flops"] for curve in proposals.values()])
    points = np.column_stack([[one.score for one in seen], costs])
    means, deviations = _from_all_others(seen)
    spent = []
    for power in POWERS:
        left, tried = list(range(len(seen))), list[int]()
        while left and hypervolume(points[tried], np.array([lowest, dearest])) < wanted:
            gains = gains_in_the_plane(means[left], deviations[left], costs[left], points[tried], (lowest, dearest))
            tried.append(left.pop(int(np.argmax(np.log10(np.maximum(gains, 1e-300)) - power * costs[left]))))
        spent.append(float(np.sum(10 ** costs[tried])))
    return min(spent)


def _from_all_others(seen: list[Observation]) -> tuple[Array, Array]:
    """Mean and standard deviation of each score, noise included."""
    model = GaussianProcess(seen)
    parts = [model.predict(seen[:n] + seen[n + 1 :], [one.features]) for n, one in enumerate(seen)]
    means, deviations = (np.concatenate(column) for column in zip(*parts, strict=True))
    spread = float(np.std([one.score for one in seen]))
    return means, np.hypot(deviations, np.sqrt(model.noise) * spread)
