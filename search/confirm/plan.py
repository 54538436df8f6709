"""Writes down who is confirmed against whom, with which seeds and attack; read again when confirming goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from analysis.run.format import FORMAT
from analysis.run.trials import Run
from search.confirm.contenders import Contender, Part, reseeded
from search.study.study import Study
from trainables.assessment.attack_record import AttackSetting
from trainables.ensemble.ensemble import Strength
from trainables.errors import InvalidInput
from trainables.evaluation.config import ThreatModel
from trainables.recipe.recipe import Recipe
from trainables.storage import Folder

CONFIRMATIONS, PLAN = "confirm", "plan.json"
FIRST_SEED = 1000  # far from the seeds that studies use
FEWEST_SEEDS = 2


@dataclass(frozen=True)
class Plan:
    """What one confirmation does.

    Attributes:
        contenders: who is confirmed.
        seeds: the seeds that each is trained with, the same for all.
        setting: what the trained networks are attacked by.
        margin: robust accuracy that a pick may lose and still be at parity, 0–1.
    """

    contenders: tuple[Contender, ...]
    seeds: tuple[int, ...]
    setting: AttackSetting
    margin: float

    def recipes(self) -> list[tuple[Contender, int, Recipe]]:
        """Return each contender's recipe with each seed."""
        return [(one, seed, reseeded(one.recipe, seed)) for seed in self.seeds for one in self.contenders]

    def as_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {
            "format": FORMAT,
            "seeds": list(self.seeds),
            "attack": self.setting.attack,
            "examples": self.setting.examples,
            "threat_model": self.setting.threat_model.model_dump(mode="json"),
            "margin": self.margin,
            "contenders": [
                {
                    "name": one.name,
                    "part": one.part,
                    "pick": one.pick,
                    "recipe": one.recipe.model_dump(mode="json"),
                    "trials": {str(seed): reseeded(one.recipe, seed).id for seed in self.seeds},
                }
                for one in self.contenders
            ],
        }

    @classmethod
    def of_json(cls, content: dict[str, Any]) -> Self:
        """Read what `as_json` returned."""
        parts: dict[str, Part] = {"pick": "pick", "against": "against", "opponent": "opponent"}
        strengths: dict[str, Strength] = {"quick": "quick", "standard": "standard", "full": "full"}
        contenders = tuple(
            Contender(one["name"], parts[one["part"]], Recipe.model_validate(one["recipe"]), one["pick"])
            for one in content["contenders"]
        )
        threat_model = ThreatModel.model_validate(content["threat_model"])
        setting = AttackSetting(threat_model, strengths[content["attack"]], content["examples"])
        return cls(contenders, tuple(content["seeds"]), setting, float(content["margin"]))


def fresh_seeds(run: Run, study: Study, count: int) -> tuple[int, ...]:
    """Return the first seeds from `FIRST_SEED` on that neither the search nor its grid has used.

    They are the same in each confirmation of a run, so that what was trained for an earlier one is not trained again.

    Raises:
        InvalidInput: fewer than two are asked for, by which nothing can be decided.
    """
    if count < FEWEST_SEEDS:
        raise InvalidInput(f"--seeds: got {count}, expected at least {FEWEST_SEEDS}: one network proves nothing")
    used = {int(trial.recipe["seed"]) for trial in run.trials} | {study.seed}
    return tuple(seed for seed in range(FIRST_SEED, FIRST_SEED + count + len(used)) if seed not in used)[:count]


def write_plan(run: Folder, plan: Plan) -> int:
    """Write a plan into a new folder of confirm/, and return its number; an equal one that is there counts as it."""
    known = plans(run)
    for number, other in known:
        if other.as_json() == plan.as_json():
            return number
    number = 1 + max((number for number, _ in known), default=0)
    run.child(CONFIRMATIONS, str(number)).write_json(PLAN, plan.as_json())
    return number


def plans(run: Folder) -> Sequence[tuple[int, Plan]]:
    """Return the plans of a run with their numbers, in order; one whose file is torn is left out."""
    found = []
    for name in sorted((name for name in run.child(CONFIRMATIONS).names() if name.isdigit()), key=int):
        try:
            found.append((int(name), Plan.of_json(run.child(CONFIRMATIONS, name).read_json(PLAN))))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
