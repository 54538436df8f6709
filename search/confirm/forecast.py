"""Says before a confirmation how long it takes at most, and what its images leave open however many seeds there are."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from analysis.evidence.verdict import FEWEST_SEEDS, TAIL
from analysis.run.trials import Run, Trial
from search.confirm.contenders import Contender
from search.confirm.plan import Plan
from search.confirm.trainings import with_ancestors
from trainables.ensemble.ensemble import BLACK_BOX, ENSEMBLES, passes_at_most
from trainables.evaluation.metrics import own_flops
from trainables.value_forms import counted

FLOPS_PER_PASS = 2  # forward passes that a pass with a gradient for the image costs
FLOPS_PER_MAC = 2


def seconds_per_flop(run: Run) -> float | None:
    """Return the seconds that a FLOP of training took in a run, of all finished trials; None where none is known."""
    rows = [
        (trial.metrics["device_seconds"], trial.metrics["end_to_end_flops"])
        for trial in run.trials
        if trial.metrics.get("device_seconds") and trial.metrics.get("end_to_end_flops")
    ]
    return sum(seconds for seconds, _ in rows) / sum(flops for _, flops in rows) if rows else None


def hours(
    plan: Plan, opponents: Sequence[Sequence[Contender]], trained: Mapping[str, Trial], images: int, per_flop: float
) -> tuple[float, float]:
    """Return the hours of one device that all trainings and all attacks take, if none was done yet.

    A base or a teacher that several share is trained once a seed. To train, an opponent costs what its pick does; to
    attack, what the largest network does, as it may be dense.
    Attacks are counted as if every image stood to the last, so at most so many; those on the deployed files of
    quantized networks too.

    Args:
        plan: who is confirmed.
        opponents: of each pick, the candidates of which the best is confirmed.
        trained: the trials of the search, by the recipes' ids.
        images: how many are attacked.
        per_flop: seconds that a FLOP takes.
    """
    seeds = len(plan.seeds)
    found = {one.name: trained[one.recipe.id] for one in plan.contenders if one.recipe.id in trained}
    recipes = with_ancestors(one.recipe for one in plan.contenders if one.recipe.id in trained)
    training = seeds * sum(_training(trained[one.id]) for one in recipes if one.id in trained)
    networks = [trial.metrics.get("inference_macs", 0.0) for trial in found.values()]
    for candidates in opponents:
        pick = next((found[one.pick] for one in candidates if one.pick in found), None)
        if pick is not None:  # each candidate once, then the best one with every seed
            training += (len(candidates) + seeds) * pick.metrics.get("end_to_end_flops", 0.0)
            networks.append(max(one.metrics.get("inference_macs", 0.0) for one in trained.values()))
    attack, threat_model = plan.setting.attack, plan.setting.threat_model
    passes = FLOPS_PER_PASS * passes_at_most(ENSEMBLES[attack], threat_model) * sum(networks)
    passes += passes_at_most(BLACK_BOX[attack], threat_model) * sum(
        trial.metrics.get("inference_macs", 0.0) for trial in found.values() if trial.recipe.get("quantization")
    )
    attacks = seeds * images * passes * FLOPS_PER_MAC
    return training * per_flop / 3600, attacks * per_flop / 3600


def _training(trial: Trial) -> float:
    """Return the FLOPs of one training, without those of the trial's base and teacher."""
    inherits = trial.recipe.get("base") is not None or (trial.recipe.get("distillation") or {}).get("teacher")
    ordinary = trial.metrics.get("end_to_end_flops", 0.0) - trial.metrics.get("train_flops", 0.0)
    return own_flops(trial.metrics) + (0.0 if inherits else ordinary)


def precision(plan: Plan, found: Mapping[str, Trial], images: int, opponents: int = 0) -> list[str]:
    """Return what these seeds and images can decide, in lines, as far as the search's own answers tell.

    What the images leave open of a difference is estimated from the answers of both networks for the validation
    images, and is no less than images alone leave open where both answer all alike. More seeds do not narrow it.

    Args:
        plan: who is confirmed.
        found: trials of the search, by the recipes' ids.
        images: how many are attacked.
        opponents: how many picks are compared with an opponent too; all comparisons share what may err.
    """
    lines = []
    if len(plan.seeds) < FEWEST_SEEDS:
        never = f"{counted(len(plan.seeds), 'seed')} {'decides nothing' if len(plan.seeds) == 1 else 'never decide'}"
        lines.append(f"{never}: --seeds 6 or more do where the difference is clear")
    pairs = [
        (pick, other)
        for pick in plan.contenders
        for other in plan.contenders
        if pick.part == "pick" and other.part == "against"
    ]
    for pick, other in pairs:
        ours, theirs = (
            found[one.recipe.id].robust_correct if one.recipe.id in found else None for one in (pick, other)
        )
        if ours is None or theirs is None or ours.shape != theirs.shape:
            continue
        differences = ours.astype(np.float64) - theirs.astype(np.float64)
        tail = TAIL / (len(pairs) + opponents)
        seen = NormalDist().inv_cdf(1 - tail) * float(differences.std()) / math.sqrt(images)
        width = max(seen, 1 - tail ** (1 / images))
        least = width - plan.margin
        decided = (
            "so that equal ones can be found at parity"
            if least <= 0
            else f"so that only one that is {100 * least:.1f} points better can be found at parity"
        )
        lines.append(
            f"{pick.name} against {other.name}: {images:,} images alone leave a difference open by about "
            f"±{100 * width:.1f} points, whatever the seeds, {decided} within {100 * plan.margin:g}"
        )
    return lines
