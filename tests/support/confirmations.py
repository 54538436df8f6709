"""Writes confirmations into run directories: a pick, the reference and a fast opponent, on images of known fate."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from analysis.evidence.confirmation import Confirmation, read_confirmations
from analysis.run.trials import Run, read_run
from tests.support.run_directories import add, worked_example
from trainables.assessment.attack_record import AttackRecord, AttackSetting
from trainables.conditions.record import Conditions, conditions_file
from trainables.evaluation.config import Strength, ThreatModel
from trainables.storage import Folder

SEEDS = (1000, 1001, 1002, 1003, 1004, 1005)
IMAGES = 1000
PICK, REFERENCE, FAST = "recipe a", "pgd_at_20", "n_fgsm dense at the compute of recipe a"
_ENTRIES = {PICK: ("pick", "a", 3e8), REFERENCE: ("against", "pgd", 1e10), FAST: ("opponent", "fast_a", 4e8)}


def conditions(robust: float, transfers: Mapping[str, float]) -> Conditions:
    """Made-up conditions of a network with that robust accuracy."""
    curve = {multiple: max(0.0, 1 - multiple * (1 - robust)) for multiple in (0.5, 1.0, 2.0)}
    return Conditions(1.0, curve, ThreatModel(norm="l2", epsilon=0.9), robust, {"noise": (0.9, 0.7)}, transfers)


def confirm(
    root: Path,
    pick: float,
    reference: float,
    fast: float,
    *,
    spread: float = 0.002,
    number: int = 1,
    attack: Strength = "standard",
    seeds: tuple[int, ...] = SEEDS,
    unreliable: tuple[str, ...] = (),
) -> None:
    """Write a confirmation of trial `a`: robust accuracies by entry; each seed's lies a little off.

    The easiest images stand first; what is unreliable is so with the pick's last seed.
    """
    setting, folder = AttackSetting(ThreatModel(epsilon=0.2), attack, None), Folder(str(root))
    contenders = []
    for (name, (part, recipe, flops)), robust in zip(_ENTRIES.items(), (pick, reference, fast), strict=True):
        trials = {seed: f"{recipe}_{seed}" for seed in seeds}
        of = PICK if part == "opponent" else None
        contenders.append({"name": name, "part": part, "pick": of, "id": recipe, "trials": trials})
        for place, (seed, trial) in enumerate(trials.items()):
            metrics = {"inference_macs": 9e5 if name == PICK else 1e7, "mac_ratio": 0.09 if name == PICK else 1.0}
            add(
                root, trial, role="confirm", name=f"{name}, seed {seed}", number=100 + place, robust=robust + 0.05,
                flops=flops, end_to_end=flops + 5e8, metrics=metrics,
            )  # fmt: skip
            stands = np.arange(IMAGES) < round(IMAGES * (robust + spread * (place - (len(seeds) - 1) / 2)))
            doubts = unreliable if name == PICK and seed == seeds[-1] else ()
            broken = IMAGES - int(stands.sum())
            turns = (("PGD", IMAGES, broken // 2, 0.1), ("Square", IMAGES - broken // 2, broken - broken // 2, 0.2))
            record = AttackRecord("images", np.ones(IMAGES, dtype=np.bool_), stands, stands, doubts, turns)
            folder.child("trials", trial).write_json(setting.file, record.as_json())
            measured = conditions(robust, {"base": 0.8} | ({} if part == "against" else {REFERENCE: 0.75}))
            folder.child("trials", trial).write_json(conditions_file(setting), measured.as_json())
    plan = {
        "format": 1, "seeds": list(seeds), "attack": attack, "examples": None, "margin": 0.01,
        "threat_model": {"norm": "linf", "epsilon": 0.2}, "contenders": contenders,
    }  # fmt: skip
    folder.child("confirm", str(number)).write_json("plan.json", plan)


def confirmed_run(root: Path, pick: float, reference: float, fast: float, spread: float = 0.002) -> Run:
    """The worked example with that confirmation in it."""
    worked_example(root)
    confirm(root, pick, reference, fast, spread=spread)
    return read_run(Folder(str(root)))


def confirmation(root: Path, pick: float, reference: float, fast: float, spread: float = 0.002) -> Confirmation:
    """That confirmation, as it is read back."""
    (one,) = read_confirmations(confirmed_run(root, pick, reference, fast, spread))
    return one
